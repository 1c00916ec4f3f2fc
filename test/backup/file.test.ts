/** Where a backup goes: a file is replaced completely or not at all, and what is no file is written into. */
import { expect, test } from "bun:test"
import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { Readable, type Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { writeWhole } from "../../src/backup/file.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const write = (text: string) => (output: Writable) => pipeline(Readable.from([text]), output)

const failing = async () => {
  throw new Error("half-way")
}

test("a link is followed, to a file that is there or is not yet, and stays a link", async () => {
  using directory = temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  await mkdir(at("disk"))
  await mkdir(at("links"))
  symlinkSync(at("disk"), at("shortcut"))
  symlinkSync("../shortcut/latest", at("links/one"))
  symlinkSync("one", at("links/two"))
  for (const text of ["first", "second"]) {
    await writeWhole(at("links/two"), write(text))
    expect(readFileSync(at("disk/latest"), "utf8")).toBe(text)
    await expect(writeWhole(at("links/two"), failing)).rejects.toThrow("half-way")
    expect(readFileSync(at("disk/latest"), "utf8")).toBe(text)
  }
  expect(statSync(at("disk/latest")).mode & 0o777).toBe(0o600)
  for (const name of ["links/one", "links/two"])
    expect(lstatSync(at(name)).isSymbolicLink()).toBe(true)
  expect(readdirSync(at("disk"))).toEqual(["latest"])
})

test("a pipe gets the backup, and stays a pipe", async () => {
  using directory = temporaryDirectory()
  const pipe = join(directory.path, "pipe")
  Bun.spawnSync(["mkfifo", pipe])
  const reader = Bun.spawn(["cat", pipe], { stdout: "pipe" })
  await writeWhole(pipe, write("through"))
  expect(await reader.stdout.text()).toBe("through")
  expect(statSync(pipe).isFIFO()).toBe(true)
  expect(readdirSync(directory.path)).toEqual(["pipe"])
})

test("a device is written into, and stays a device", async () => {
  using directory = temporaryDirectory()
  const link = join(directory.path, "null")
  symlinkSync("/dev/null", link)
  for (const path of ["/dev/null", link]) await writeWhole(path, write("away"))
  await expect(writeWhole("/dev/full", write("full"))).rejects.toThrow(/no space|ENOSPC/)
  for (const device of ["/dev/null", "/dev/full"])
    expect(lstatSync(device).isCharacterDevice()).toBe(true)
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
})

test("what cannot be written is said before anything is read", async () => {
  using directory = temporaryDirectory()
  writeFileSync(join(directory.path, "file"), "")
  const never = () => Promise.reject(new Error("the database was read"))
  for (const [path, reason] of [
    ["missing/todo.backup", "its directory does not exist"],
    ["file/todo.backup", "its directory is a file"],
    [".", "it is a directory"],
  ] as const) {
    const place = join(directory.path, path)
    await expect(writeWhole(place, never)).rejects.toThrow(`${place} cannot be written: ${reason}`)
  }
  expect(readdirSync(directory.path)).toEqual(["file"])
})
