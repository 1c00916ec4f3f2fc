/**
 * A Postgres for one run of the tests, ended and removed when the process it was started for is
 * gone. A process of its own, because bun test kills all its children when one test times out.
 */
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/database/connection.ts"
import { startEmbedded } from "../../src/database/embedded.ts"

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** In memory where there is room: a clone takes 15 ms there, and many times that on a slow disk. */
const parentDirectory = () => {
  const memory = "/dev/shm"
  try {
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize > 1e9 ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

const directory = mkdtempSync(join(parentDirectory(), "todo-api-test-"))
try {
  const server = await startEmbedded(directory)
  const sql = postgres(connectionOptions(server.url))
  // What tests write may be lost with the machine.
  await sql`alter system set fsync = off`
  await sql`select pg_reload_conf()`
  await sql.end()
  console.log(server.url)
  while (isAlive(Number(process.argv[2]))) await Bun.sleep(100)
  await server.stop()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
