/** DATA_DIR: one that is not the service's own, or not its alone, is refused. */
import { expect, test } from "bun:test"
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { readConfig } from "../../src/config/config.ts"
import { makeDataDir } from "../../src/data-dir/directory.ts"
import {
  openPrivateFile,
  readPrivateFile,
  writePrivateFile,
} from "../../src/data-dir/private-files.ts"
import { accountOf } from "../../src/database/embedded/server-user.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { secretKeys } from "../../src/keys.ts"
import { runCommand, startCommand } from "../support/command.ts"
import { usedDataDir } from "../support/embedded.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const isRoot = process.geteuid?.() === 0
const nobody = 65_534

test("a DATA_DIR that is open to others is refused, and nothing is put there", async () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "data")
  mkdirSync(dataDir)
  for (const mode of [0o755, 0o1777, 0o770, 0o740, 0o701, 0o777]) {
    chmodSync(dataDir, mode)
    expect(() => makeDataDir(dataDir)).toThrow("is open to others")
  }
  const { code, err } = await runCommand(["serve"], { DATA_DIR: dataDir })
  expect(code).toBe(78)
  expect(err).toStartWith("todo-api: wrong configuration:\nDATA_DIR ")
  expect(readdirSync(dataDir)).toEqual([])
})

test.if(isRoot)("a DATA_DIR of another user is refused, and so is a file of theirs", () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "data")
  mkdirSync(dataDir, { mode: 0o700 })
  chownSync(dataDir, nobody, nobody)
  expect(() => makeDataDir(dataDir)).toThrow(`belongs to user ${nobody}`)
  chownSync(dataDir, 0, 0)
  writeFileSync(join(dataDir, "secret_key"), "k".repeat(86), { mode: 0o600 })
  chownSync(join(dataDir, "secret_key"), nobody, nobody)
  expect(() => makeDataDir(dataDir)).toThrow("remove secret_key")
})

for (const name of ["secret_key", "secret_key.draft", "postgres.log", "lock", "postgres"])
  test(`a link that was planted as ${name} is refused, and not followed`, () => {
    using directory = temporaryDirectory()
    const victim = join(directory.path, "victim")
    writeFileSync(victim, "precious")
    const dataDir = join(directory.path, "data")
    mkdirSync(dataDir, { mode: 0o700 })
    symlinkSync(victim, join(dataDir, name))
    expect(() => makeDataDir(dataDir)).toThrow(`remove ${name}`)
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

test("a DATA_DIR that cannot be made is an error that names it", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "file")
  await Bun.write(file, "")
  await expect(startEmbedded(join(file, "data"))).rejects.toThrow(file)
})

test("the secret is made once, for its owner alone, and a part of one is none", () => {
  using directory = temporaryDirectory()
  const config = readConfig({ DATA_DIR: directory.path })
  const file = join(directory.path, "secret_key")
  const [made] = secretKeys(config)
  expect(made.length).toBeGreaterThanOrEqual(64)
  expect(secretKeys(config)).toEqual([made])
  expect(readdirSync(directory.path)).toEqual(["secret_key"])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  for (const part of ["", made.slice(0, 40)]) {
    writeFileSync(file, part)
    expect(() => secretKeys(config)).toThrow("damaged")
  }
})

test("root's Postgres runs under the account that is its own where there is one", () => {
  const passwd = ["root:x:0:0::/:/bin/sh", "postgres:x:101:103::/:", "todo-api:x:997:996::/:"]
  expect(accountOf(passwd.join("\n"))).toEqual({ uid: 997, gid: 996 })
  expect(accountOf(passwd.slice(0, 2).join("\n"))).toEqual({ uid: 101, gid: 103 })
  expect(accountOf("not-todo-api:x:5:5::/:")).toEqual({ uid: 65534, gid: 65534 })
})
