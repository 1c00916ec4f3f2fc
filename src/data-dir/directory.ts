/** DATA_DIR: made for the service alone, and refused where it is open to others. */
import { accessSync, constants, lstatSync, mkdirSync, readdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { ConfigError } from "../config-error.ts"
import { syncDirectory } from "./private-files.ts"

/** Others may pass through for what they may read below (Postgres under root's service does). */
const FOR_OTHERS = 0o067

/**
 * Where others could write, what lies there may be theirs: keys that they know, links to files that
 * would be overwritten. Where they could read, they could also hold the lock.
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
  if (mkdirSync(dataDir, { recursive: true, mode: 0o700 })) syncDirectory(dirname(dataDir))
  expectOwn(dataDir)
  // Names the directory; SQLite, which would be the first to fail, does not.
  accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
}
