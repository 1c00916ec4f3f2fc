/** DATA_DIR: private to the service, and held by one at a time. */
import { Database, SQLiteError } from "bun:sqlite"
import { randomUUID } from "node:crypto"
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { ConfigError } from "./config-error.ts"

/** A predecessor that is still shutting down gets this long to let go. */
const patienceMs = 2_000

/** Makes names in a directory survive a power cut: a rename alone does not. */
export const syncDirectory = (directory: string) => {
  const fd = openSync(directory, "r")
  fsyncSync(fd)
  closeSync(fd)
}

type Owner = { uid?: number; gid?: number }

/**
 * Whole or not at all, and for its owner alone. Of two writers of one draft the second fails with
 * EEXIST. `isReady` is called when all is written, just before the file takes its place.
 */
export const placePrivateFile = (
  path: string,
  text: string,
  { uid, gid = uid }: Owner,
  draft: string,
  isReady: () => void,
) => {
  const fd = openSync(draft, "wx", 0o600)
  try {
    writeFileSync(fd, text)
    if (uid !== undefined && gid !== undefined) fchownSync(fd, uid, gid)
    fsyncSync(fd)
    closeSync(fd)
    isReady()
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
}

/** For us alone, or for another owner alone. */
export const writePrivateFile = (path: string, text: string, owner: Owner = {}) =>
  placePrivateFile(path, text, owner, `${path}.${randomUUID()}`, () => {})

/** Opens no link, which may lead to a file that is none of ours. */
export const openPrivateFile = (path: string, flags: number) =>
  openSync(path, flags | constants.O_NOFOLLOW, 0o600)

export const readPrivateFile = (path: string): string => {
  const fd = openPrivateFile(path, constants.O_RDONLY)
  try {
    return readFileSync(fd, "utf8")
  } finally {
    closeSync(fd)
  }
}

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

/** Whoever can read the file can hold the lock. */
const makeLockPrivate = (path: string) => {
  // Not opened where it is there: closing it would end a lock that this process holds.
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openPrivateFile(path, constants.O_CREAT | constants.O_RDWR))
}

/**
 * Resolves to the function that lets go. An SQLite lock is the kernel's: it ends with the process,
 * even after kill -9, and a process id in a file would not.
 */
export const lockDataDir = async (dataDir: string): Promise<() => void> => {
  const path = join(dataDir, "lock")
  makeLockPrivate(path)
  const lock = new Database(path)
  const deadline = Date.now() + patienceMs
  for (;;) {
    try {
      lock.run("begin exclusive")
      return () => lock.close()
    } catch (error) {
      const busy = error instanceof SQLiteError && error.code === "SQLITE_BUSY"
      if (busy && Date.now() < deadline) {
        await Bun.sleep(50)
        continue
      }
      lock.close()
      throw busy
        ? new Error(`${dataDir} is in use by another todo-api: stop it, or set another DATA_DIR`)
        : error
    }
  }
}
