/** `todo-api/client/file`: a storage in a file, for programs. One process at a time may use it. */
import { mkdir, open, readFile, rename } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { readFrom, writeTo } from "./memory.ts"
import type { Storage, Stored } from "./storage.ts"

const load = async (path: string): Promise<Map<string, Stored>> => {
  try {
    return new Map(Object.entries(JSON.parse(await readFile(path, "utf8"))))
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map()
    throw error
  }
}

/** Replaces the file as a whole. Only its owner may read it, because it contains tokens. */
const replace = async (path: string, text: string) => {
  const file = await open(`${path}.new`, "w", 0o600)
  try {
    await file.writeFile(text)
    // Otherwise a power cut might leave an empty file under the new name.
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  await syncDirectory(dirname(path))
}

/** A new name is in the directory. Some systems cannot sync one, such as Windows. */
const syncDirectory = async (path: string) => {
  const directory = await open(path).catch(() => undefined)
  await directory?.sync().catch(() => {})
  await directory?.close()
}

/** A storage in a file, which it creates. Only its owner may read it, and one process uses it. */
export const fileStorage = (file: string): Storage => {
  const path = resolve(file)
  let last: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(run: (values: Map<string, Stored>) => T | Promise<T>): Promise<T> => {
    const next = last.then(async () => run(await load(path)))
    last = next.catch(() => {})
    return next
  }
  const store = async (values: Map<string, Stored>) => {
    await mkdir(dirname(path), { recursive: true })
    await replace(path, JSON.stringify(Object.fromEntries(values)))
  }

  return {
    name: path,
    read: (prefix) => inTurn((values) => readFrom(values, prefix)),
    write: (changes, guard) =>
      inTurn(async (values) => {
        if (!writeTo(values, changes, guard)) return false
        await store(values)
        return true
      }),
    persist: async () => true,
  }
}
