/** The default database: a Postgres in DATA_DIR, which the service starts and stops. */
import { join, resolve } from "node:path"
import { makeDataDir } from "../../data-dir/directory.ts"
import { lockDataDir } from "../../data-dir/lock.ts"
import { executableDirectory } from "../../programs/directory.ts"
import { postgresProgram } from "../../programs/program.ts"
import { prepareCluster } from "./cluster.ts"
import { endLeftoverPostmaster } from "./leftover-postmaster.ts"
import { refuseOtherMajorVersion } from "./major-version.ts"
import { startServer } from "./server.ts"
import { serverUser } from "./server-user.ts"
import { clusterIn, openUrl } from "./url.ts"

export type Embedded = { url: string; stop(): Promise<void>; exited: Promise<void> }

export const startEmbedded = async (dataDir: string): Promise<Embedded> => {
  const home = resolve(dataDir)
  const cluster = clusterIn(home)
  refuseOtherMajorVersion(home)
  makeDataDir(home)
  const unlock = await lockDataDir(home)
  try {
    const user = serverUser(cluster, home)
    const place = {
      programs: await executableDirectory(postgresProgram(), user, home),
      cluster,
      user,
    }
    await endLeftoverPostmaster(cluster)
    await prepareCluster(place, home)
    const server = await startServer(place, join(home, "postgres.log"))
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
