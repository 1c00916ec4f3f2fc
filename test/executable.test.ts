/** Postgres is copied where it cannot be executed in place, and only there. */
import { expect, test } from "bun:test"
import { cpSync, lstatSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { postgresRuntime } from "../src/database/runtime.ts"
import { executableRuntime } from "../src/database/runtime-copy.ts"
import { temporaryDirectory } from "./support/temporary.ts"

const isRoot = process.geteuid?.() === 0
const nobody = { uid: 65534, gid: 65534 }

/** As a package manager leaves it that runs no postinstall. */
const withoutLinks = async () => {
  const directory = temporaryDirectory()
  const { dir } = await postgresRuntime()
  const copy = join(directory.path, "native")
  cpSync(dir, copy, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() })
  return {
    dir: copy,
    version: `test-${crypto.randomUUID()}`,
    [Symbol.dispose]: directory[Symbol.dispose],
  }
}

const versionOf = (dir: string, account = {}) =>
  Bun.spawnSync([join(dir, "bin", "postgres"), "--version"], {
    ...account,
    cwd: "/",
    env: {},
  }).stdout.toString()

test("an installation that works is used where it is", async () => {
  using dataDir = temporaryDirectory()
  const runtime = await postgresRuntime()
  expect(await executableRuntime(runtime, {}, dataDir.path)).toBe(runtime.dir)
})

test("one without the links of its libraries is copied into DATA_DIR, once", async () => {
  using runtime = await withoutLinks()
  using dataDir = temporaryDirectory()
  const copy = await executableRuntime(runtime, {}, dataDir.path)
  expect(copy).toStartWith(dataDir.path)
  expect(versionOf(copy)).toStartWith("postgres (PostgreSQL) 18")
  const { ctimeMs } = statSync(copy)
  expect(await executableRuntime(runtime, {}, dataDir.path)).toBe(copy)
  expect(statSync(copy).ctimeMs).toBe(ctimeMs)
})

test.if(isRoot)(
  "one that root's Postgres account cannot reach is copied to where it can",
  async () => {
    using runtime = await withoutLinks()
    using dataDir = temporaryDirectory()
    const copy = await executableRuntime(runtime, nobody, dataDir.path)
    try {
      expect(() => versionOf(runtime.dir, nobody)).toThrow("EACCES")
      expect(versionOf(copy, nobody)).toStartWith("postgres (PostgreSQL) 18")
      expect(statSync(copy)).toMatchObject({ uid: 0, mode: 0o40755 })
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  },
)
