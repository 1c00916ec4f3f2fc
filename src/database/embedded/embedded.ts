/** The default database: a Postgres of our own in DATA_DIR, which lives as long as the service. */
import { closeSync, openSync } from "node:fs"
import { join, resolve } from "node:path"
import postgres from "postgres"
import { lockDataDir, makeDataDir } from "../../data-dir.ts"
import { executableDirectory } from "../../programs/directory.ts"
import { postgresProgram } from "../../programs/program.ts"
import { createCluster } from "./cluster.ts"
import { endLeftoverPostmaster } from "./leftover-postmaster.ts"
import { startServer } from "./server.ts"
import { serverUser } from "./server-user.ts"

export type Embedded = { url: string; stop(): Promise<void>; exited: Promise<void> }

const socketName = ".s.PGSQL.5432"
/** What every platform's socket addresses hold; Linux' 107 are the most. */
const socketPathLimit = 103

/** A name for a directory, as short as a socket's address must be, while we keep it open. */
const openDirectory = (path: string) => {
  const fd = openSync(path, "r")
  const short = process.platform === "linux" && `/proc/${process.pid}/fd/${fd}`
  const isLong = Buffer.byteLength(join(path, socketName)) > socketPathLimit
  return { name: isLong && short ? short : path, close: () => closeSync(fd) }
}

const createDatabase = async (socketDirectory: string) => {
  const sql = postgres({ host: socketDirectory, username: "todo", database: "postgres", max: 1 })
  try {
    const found = await sql`select from pg_database where datname = 'todo'`
    if (found.count === 0) await sql`create database todo`
  } finally {
    await sql.end()
  }
}

export const startEmbedded = async (dataDir: string): Promise<Embedded> => {
  const home = resolve(dataDir)
  const cluster = join(home, "postgres")
  makeDataDir(home)
  const unlock = await lockDataDir(home)
  try {
    const user = serverUser(cluster, home)
    const programs = await executableDirectory(postgresProgram(), user, home)
    await endLeftoverPostmaster(cluster)
    await createCluster(cluster, home, programs, user)
    const logFile = join(home, "postgres.log")
    const server = await startServer({ programs, cluster, user, logFile })
    const socketDirectory = openDirectory(cluster)
    const exited = server.exited.then(() => {
      socketDirectory.close()
      unlock()
    })
    try {
      await createDatabase(socketDirectory.name)
    } catch (error) {
      await server.stop()
      throw error
    }
    const stop = async () => {
      await server.stop()
      await exited
    }
    const url = `postgres://todo@localhost/todo?host=${encodeURIComponent(socketDirectory.name)}&port=5432`
    return { url, stop, exited }
  } catch (error) {
    unlock()
    throw error
  }
}
