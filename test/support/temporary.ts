/** Directories for tests, in memory where there is room: Postgres is many times faster there. */
import { mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const memory = "/dev/shm"
const enough = 1e9

/** In a container it often is small, and nothing may be executed there. */
const isFit = () => {
  const { bavail, bsize } = statfsSync(memory)
  const mounts = readFileSync("/proc/self/mounts", "utf8")
  return bavail * bsize > enough && !/^\S+ \/dev\/shm \S+ \S*\bnoexec\b/m.test(mounts)
}

const parentDirectory = () => {
  try {
    return isFit() ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

export const temporaryDirectory = () => {
  const path = mkdtempSync(join(parentDirectory(), "todo-api-test-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
