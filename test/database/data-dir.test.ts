/** DATA_DIR: one that is not the service's own, or not its alone, is refused. */
import { expect, test } from "bun:test"
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import {
  openPrivateFile,
  readPrivateFile,
  writePrivateFile,
} from "../../src/data-dir/private-files.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { runCommand, startCommand } from "../support/command.ts"
import { usedDataDir } from "../support/embedded.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const isRoot = process.geteuid?.() === 0
const nobody = 65_534

const refusal = async (dataDir: string) => {
  const { code, err } = await runCommand(["serve"], { DATA_DIR: dataDir })
  expect(code).toBe(78)
  expect(err).toStartWith("todo-api: wrong configuration:\nDATA_DIR ")
  return err
}

for (const mode of [0o777, 0o755, 0o1777, 0o770, 0o740, 0o701])
  test(`a DATA_DIR of mode ${mode.toString(8)} is refused, and nothing is put there`, async () => {
    using directory = temporaryDirectory()
    const dataDir = join(directory.path, "data")
    mkdirSync(dataDir)
    chmodSync(dataDir, mode)
    expect(await refusal(dataDir)).toContain("is open to others")
    expect(existsSync(join(dataDir, "lock"))).toBe(false)
  })

test.if(isRoot)("a DATA_DIR of another user is refused, and so is a file of theirs", async () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "data")
  mkdirSync(dataDir, { mode: 0o700 })
  chownSync(dataDir, nobody, nobody)
  expect(await refusal(dataDir)).toContain(`belongs to user ${nobody}`)
  chownSync(dataDir, 0, 0)
  writeFileSync(join(dataDir, "secret_key"), "k".repeat(86), { mode: 0o600 })
  chownSync(join(dataDir, "secret_key"), nobody, nobody)
  expect(await refusal(dataDir)).toContain("remove secret_key")
})

for (const name of ["secret_key", "secret_key.draft", "postgres.log", "lock", "postgres"])
  test(`a link that was planted as ${name} is refused, and not followed`, async () => {
    using directory = temporaryDirectory()
    const victim = join(directory.path, "victim")
    writeFileSync(victim, "precious")
    const dataDir = join(directory.path, "data")
    mkdirSync(dataDir, { mode: 0o700 })
    symlinkSync(victim, join(dataDir, name))
    expect(await refusal(dataDir)).toContain(`remove ${name}`)
    expect(readFileSync(victim, "utf8")).toBe("precious")
  })

test("what is private is neither read nor written through a link", () => {
  using directory = temporaryDirectory()
  const [victim, link] = [join(directory.path, "victim"), join(directory.path, "link")]
  writeFileSync(victim, "precious")
  symlinkSync(victim, link)
  expect(() => readPrivateFile(link)).toThrow("ELOOP")
  expect(() => openPrivateFile(link, 0)).toThrow("ELOOP")
  writePrivateFile(link, "new")
  expect(lstatSync(link).isFile()).toBe(true)
  expect(statSync(link).mode & 0o777).toBe(0o600)
  expect(readFileSync(victim, "utf8")).toBe("precious")
})

test("a lock that others could read is made private", async () => {
  using data = await usedDataDir()
  chmodSync(join(data.path, "lock"), 0o644)
  const { stop } = await startEmbedded(data.path)
  expect(statSync(join(data.path, "lock")).mode & 0o777).toBe(0o600)
  await stop()
})

test("a link to a DATA_DIR of the service's own is good", async () => {
  using data = await usedDataDir()
  const link = `${data.path}-link`
  symlinkSync(data.path, link)
  await using service = await startCommand({ DATA_DIR: link })
  expect((await service.call("GET", "/health/ready")).status).toBe(200)
  expect(await service.stop()).toBe(0)
})
