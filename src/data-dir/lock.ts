/** The lock by which one service at a time holds DATA_DIR. */
import { Database, SQLiteError } from "bun:sqlite"
import { chmodSync, closeSync, constants, existsSync } from "node:fs"
import { join } from "node:path"
import { openPrivateFile } from "./private-files.ts"

/** A predecessor that is still shutting down gets this long to let go. */
const PATIENCE_MS = 2_000

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
  const deadline = Date.now() + PATIENCE_MS
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
