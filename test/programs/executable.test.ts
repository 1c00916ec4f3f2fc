/** Programs are executed where they are installed; if they cannot be, from a verified copy. */
import { expect, test } from "bun:test"
import { lstatSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pack } from "../../.ci/archive.ts"
import { executableDirectory, type ProcessUser } from "../../src/programs/directory.ts"
import { type ProgramFile, sha256 } from "../../src/programs/files.ts"
import { openArchive, type Program, postgresProgram } from "../../src/programs/program.ts"
import { runCommand } from "../support/command.ts"
import { createEmptyDatabase } from "../support/postgres.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const isRoot = process.geteuid?.() === 0
const nobody = { uid: 65534, gid: 65534 }

const file = (path: string, text: string): ProgramFile => {
  const bytes = Buffer.from(text)
  return {
    path,
    isExecutable: path.startsWith("bin/"),
    sha256: sha256(bytes),
    read: async () => bytes,
  }
}

/** A program whose content no other test has. */
const smallProgram = (): Program => {
  const files = [
    file("bin/program", `#!/bin/sh\n# ${crypto.randomUUID()}\n`),
    file("a/b/c", "text"),
  ]
  return { executable: "bin/program", files: () => files }
}

const filesBelow = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())

test("an installation that works is used where it is", async () => {
  using dataDir = temporaryDirectory()
  const program = postgresProgram()
  expect(await executableDirectory(program, {}, [dataDir.path])).toBe(program.installed ?? "")
})

test("Postgres works from those files of its package that are chosen", async () => {
  using dataDir = temporaryDirectory()
  const { executable, files } = postgresProgram()
  const directory = await executableDirectory({ executable, files }, {}, [dataDir.path])
  expect(directory).toStartWith(dataDir.path)
  const { stdout } = Bun.spawnSync([join(directory, "bin/initdb"), "--version"])
  expect(stdout.toString()).toStartWith("initdb (PostgreSQL) 18")
})

test("files come out of an archive as they went in", async () => {
  using dataDir = temporaryDirectory()
  const { executable, files } = smallProgram()
  const archive = await (await pack(files())).bytes()
  const program = { executable, files: () => openArchive(archive) }
  const directory = await executableDirectory(program, {}, [dataDir.path])
  for (const { path, read } of files())
    expect(await Bun.file(join(directory, path)).bytes()).toEqual(new Uint8Array(await read()))
})

test("a copy is only for its user, and made once", async () => {
  using dataDir = temporaryDirectory()
  const program = smallProgram()
  const directory = await executableDirectory(program, {}, [dataDir.path])
  expect(statSync(directory).mode & 0o777).toBe(0o700)
  expect(statSync(join(directory, "bin/program")).mode & 0o777).toBe(0o700)
  expect(statSync(join(directory, "a/b/c")).mode & 0o777).toBe(0o600)
  const { ino } = statSync(join(directory, "bin/program"))
  expect(await executableDirectory(program, {}, [dataDir.path])).toBe(directory)
  expect(statSync(join(directory, "bin/program")).ino).toBe(ino)
})

test("a file that was changed or cut short is replaced before anything is executed", async () => {
  using dataDir = temporaryDirectory()
  const program = smallProgram()
  const directory = await executableDirectory(program, {}, [dataDir.path])
  writeFileSync(join(directory, "bin/program"), "#!/bin/sh\nexit 1\n")
  writeFileSync(join(directory, "a/b/c"), "")
  await executableDirectory(program, {}, [dataDir.path])
  for (const { path, read } of program.files())
    expect(await Bun.file(join(directory, path)).bytes()).toEqual(new Uint8Array(await read()))
})

test("starts at once leave one copy and nothing else", async () => {
  using dataDir = temporaryDirectory()
  const program = smallProgram()
  const starts = [1, 2, 3, 4].map(() => executableDirectory(program, {}, [dataDir.path]))
  const [directory = "", ...others] = await Promise.all(starts)
  expect(others).toEqual([directory, directory, directory])
  expect(filesBelow(dataDir.path).length).toBe(2)
})

test("an archive that is damaged is not executed", async () => {
  using dataDir = temporaryDirectory()
  const [program, other] = [
    file("bin/program", "#!/bin/sh\n"),
    file("bin/program", "#!/bin/bash\n"),
  ]
  const damaged = { executable: "bin/program", files: () => [{ ...program, read: other.read }] }
  await expect(executableDirectory(damaged, {}, [dataDir.path])).rejects.toThrow("is damaged")
  expect(filesBelow(dataDir.path)).toEqual([])
})

test.if(isRoot)("a directory that somebody else made is left alone", async () => {
  using dataDir = temporaryDirectory()
  using other = temporaryDirectory()
  const program = smallProgram()
  const directory = await executableDirectory(program, {}, [dataDir.path])
  rmSync(directory, { recursive: true })
  mkdirSync(directory, { mode: 0o777 })
  Bun.spawnSync(["chown", String(nobody.uid), directory])
  await expect(executableDirectory(program, {}, [dataDir.path])).rejects.toThrow(directory)
  const elsewhere = await executableDirectory(program, {}, [dataDir.path, other.path])
  expect(elsewhere).toStartWith(other.path)
  expect(readdirSync(directory)).toEqual([])
})

const startsAs = (account: ProcessUser, path: string) => {
  try {
    return Bun.spawnSync([path], { ...account, cwd: "/", env: {} }).success
  } catch {
    return false
  }
}

test.if(isRoot)("root's Postgres account can execute its copy, and nobody else can", async () => {
  using dataDir = temporaryDirectory()
  const program = smallProgram()
  const directory = await executableDirectory(program, nobody, ["/var/cache", dataDir.path])
  try {
    expect(directory).not.toStartWith(dataDir.path)
    expect(lstatSync(directory)).toMatchObject({ uid: 0, gid: nobody.gid, mode: 0o40750 })
    expect(startsAs(nobody, join(directory, "bin/program"))).toBe(true)
    expect(startsAs({ uid: 12345, gid: 12345 }, join(directory, "bin/program"))).toBe(false)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test("without a DATA_DIR dbmate runs from a directory that nobody can foresee, and nothing is left", async () => {
  using directory = temporaryDirectory()
  const { url, drop } = await createEmptyDatabase()
  const env = { DATABASE_URL: url, TMPDIR: directory.path, DATA_DIR: join(directory.path, "data") }
  expect((await runCommand(["migrate"], env)).code).toBe(0)
  expect(readdirSync(directory.path)).toEqual([])
  await drop()
})
