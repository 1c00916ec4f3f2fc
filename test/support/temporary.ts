/** Directories for tests, in memory where there is room: Postgres is many times faster there. */
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const memory = "/dev/shm"
const enough = 1e9

const parentDirectory = () => {
  try {
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize > enough ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

export const temporaryDirectory = () => {
  const path = mkdtempSync(join(parentDirectory(), "todo-api-test-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
