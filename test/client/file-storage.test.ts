/** `todo-api/client/file`: the storage of programs. */
import { expect, spyOn, test } from "bun:test"
import { readFileSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import { fileStorage } from "../../src/client/storage/file.ts"
import { temporaryDirectory } from "../support/temporary.ts"

test("what is stored is on the disk, with its name: a power cut takes neither it nor what was before", async () => {
  using directory = temporaryDirectory()
  const path = join(directory.path, "todos.json")
  const read = () => JSON.parse(readFileSync(path, "utf8"))
  const storage = fileStorage(path)
  await storage.write(new Map([["edits", 1]]))

  const file = await open(path)
  const prototype: FileHandle = Object.getPrototypeOf(file)
  await file.close()
  const { sync } = prototype
  const synced: unknown[] = []
  using _ = spyOn(prototype, "sync").mockImplementation(function (this: FileHandle) {
    synced.push(read())
    return sync.call(this)
  })
  await storage.write(new Map([["edits", 2]]))
  // The new file while the old one has the name, and then the directory.
  expect(synced).toEqual([{ edits: 1 }, { edits: 2 }])
  expect(read()).toEqual({ edits: 2 })
})
