/** Locks DATA_DIR, so that only one service at a time uses it. */
import { Database, SQLiteError } from "bun:sqlite"
import { chmodSync, closeSync, constants, existsSync } from "node:fs"
import { join } from "node:path"
import { openPrivateFile } from "./private-files.ts"

/** How long to wait for a service that is still shutting down. */
const PATIENCE_MS = 2_000

/**
 * Resolves to the function that releases the lock. SQLite's lock is one of the kernel: it ends with the
 * process, even after kill -9. A file with a process id would stay.
 */
export const lockDataDir = async (dataDir: string): Promise<() => void> => {
  const path = join(dataDir, "lock")
  // Private, because whoever can read the file can hold the lock. An existing one is not opened: closing it
  // would release a lock that this process holds.
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openPrivateFile(path, constants.O_CREAT | constants.O_RDWR))
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
