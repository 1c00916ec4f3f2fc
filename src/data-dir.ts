/** DATA_DIR: made private, and held by one service at a time. */
import { Database, SQLiteError } from "bun:sqlite"
import { accessSync, closeSync, constants, fsyncSync, mkdirSync, openSync } from "node:fs"
import { dirname, join } from "node:path"

/** A predecessor that is still shutting down gets this long to let go. */
const patienceMs = 2_000

/** Makes names in a directory survive a power cut: a rename alone does not. */
export const syncDirectory = (directory: string) => {
  const fd = openSync(directory, "r")
  fsyncSync(fd)
  closeSync(fd)
}

export const makeDataDir = (dataDir: string) => {
  if (mkdirSync(dataDir, { recursive: true, mode: 0o700 })) syncDirectory(dirname(dataDir))
  // Names the directory; SQLite, which would be the first to fail, does not.
  accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
}

/**
 * Resolves to the function that lets go. An SQLite lock is the kernel's: it ends with the process,
 * even after kill -9, and a process id in a file would not.
 */
export const lockDataDir = async (dataDir: string): Promise<() => void> => {
  const lock = new Database(join(dataDir, "lock"))
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
