/** Creates DATA_DIR for the service alone, and refuses one that is open to others. */
import { accessSync, constants, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { ConfigError } from "../config/config.ts"
import { syncDirectory } from "./private-files.ts"

/** Others may only pass through: the Postgres of a service that runs as root has to. */
const FOR_OTHERS = 0o067

/**
 * Others who may write there could have left keys that they know, or links to files that the service
 * would overwrite. Others who may read there could also hold the lock.
 */
const expectOwn = (dataDir: string) => {
  const refuse = (reason: string): never => {
    throw new ConfigError(`DATA_DIR ${dataDir} ${reason}`)
  }
  const own = process.geteuid?.()
  const { uid, mode } = statSync(dataDir)
  if (uid !== own)
    refuse(`belongs to user ${uid}, and the service runs as ${own}: chown it, or name another`)
  if (mode & FOR_OTHERS)
    refuse(`is open to others (mode ${(mode & 0o777).toString(8)}): chmod 700 it, or name another`)
  for (const name of readdirSync(dataDir)) {
    const path = join(dataDir, name)
    const entry = lstatSync(path)
    if (entry.isSymbolicLink()) refuse(`holds a link that is not the service's: remove ${name}`)
    if (entry.isFile() && entry.uid !== own)
      refuse(`holds a file of user ${entry.uid}: remove ${name}`)
  }
}

export const makeDataDir = (dataDir: string) => {
  try {
    if (mkdirSync(dataDir, { recursive: true, mode: 0o700 })) syncDirectory(dirname(dataDir))
    expectOwn(dataDir)
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof ConfigError || !(error instanceof Error)) throw error
    throw new ConfigError(`DATA_DIR ${dataDir} cannot be used: ${error.message}`)
  }
}
