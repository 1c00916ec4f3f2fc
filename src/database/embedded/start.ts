/** The default database: a Postgres in DATA_DIR, which the service starts and stops. */
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { ConfigError } from "../../config/config.ts"
import { makeDataDir } from "../../data-dir/directory.ts"
import { lockDataDir } from "../../data-dir/lock.ts"
import { executableDirectory } from "../../programs/directory.ts"
import { postgresProgram } from "../../programs/program.ts"
import { answers } from "../driver.ts"
import { prepareCluster } from "./cluster.ts"
import { endLeftoverPostmaster } from "./leftover-postmaster.ts"
import { startServer } from "./server.ts"
import { serverUser } from "./server-user.ts"
import { clusterIn, embeddedUrl, openUrl } from "./url.ts"

export type Embedded = { url: string; stop(): Promise<void>; exited: Promise<void> }

/** The major version of the programs that come with the service. */
const OURS = "18"

/** Has to be called before anything in the folder is changed. */
const refuseOtherMajorVersion = (dataDir: string) => {
  const file = join(clusterIn(dataDir), "PG_VERSION")
  const found = existsSync(file) ? readFileSync(file, "utf8").trim() : OURS
  if (found === OURS) return
  throw new ConfigError(
    `The data in ${dataDir} is of Postgres ${found}, and this todo-api brings Postgres ${OURS}. ` +
      `Nothing was touched. To bring the data over, begin with the todo-api that served it last:
  DATA_DIR='${dataDir}' OLD-todo-api backup --with-secret todo-api.backup
  mv '${dataDir}' '${dataDir}-postgres-${found}'
  DATA_DIR='${dataDir}' todo-api restore todo-api.backup`,
  )
}

/** Beside those of the pool: for commands, and for connections that are closed and not gone yet. */
const OTHER_CONNECTIONS = 90

export const startEmbedded = async (dataDir: string, poolSize = 10): Promise<Embedded> => {
  const home = resolve(dataDir)
  const cluster = clusterIn(home)
  refuseOtherMajorVersion(home)
  makeDataDir(home)
  const unlock = await lockDataDir(home)
  try {
    const user = serverUser(cluster, home)
    // For another user than root, root's private DATA_DIR is the last choice.
    const homes = user.uid === undefined ? [home] : ["/var/cache", home]
    const installation = {
      programs: await executableDirectory(postgresProgram(), user, homes),
      cluster,
      user,
    }
    await endLeftoverPostmaster(cluster)
    await prepareCluster(installation, home)
    const connections = poolSize + OTHER_CONNECTIONS
    const server = await startServer(installation, join(home, "postgres.log"), connections)
    const { url, close } = openUrl(home)
    const exited = server.exited.then(() => {
      close()
      unlock()
    })
    const stop = async () => {
      await server.stop()
      await exited
    }
    return { url, stop, exited }
  } catch (error) {
    unlock()
    throw error
  }
}

/** For a command: the database of the running service, or started for the command. */
export const openEmbedded = async (dataDir: string): Promise<Pick<Embedded, "url" | "stop">> => {
  const url = embeddedUrl(dataDir)
  return url !== undefined && (await answers(url))
    ? { url, stop: async () => {} }
    : startEmbedded(dataDir)
}
