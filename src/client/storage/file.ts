/** `todo-api/client/file`: a storage in a file, for programs. One process at a time may use it. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import type { Storage, Stored } from "./storage.ts"

const load = async (path: string): Promise<Record<string, Stored>> => {
  try {
    return JSON.parse(await readFile(path, "utf8"))
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {}
    throw error
  }
}

export const fileStorage = (file: string): Storage => {
  const path = resolve(file)
  let last: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(run: (values: Record<string, Stored>) => Promise<T>): Promise<T> => {
    const next = last.then(async () => run(await load(path)))
    last = next.catch(() => {})
    return next
  }

  return {
    name: path,
    read: (key) => inTurn(async (values) => values[key]),
    update: (key, change) =>
      inTurn(async (values) => {
        values[key] = change(values[key])
        await mkdir(dirname(path), { recursive: true })
        // The rename replaces the file as a whole. Only its owner may read it: it contains tokens.
        await writeFile(`${path}.new`, JSON.stringify(values), { mode: 0o600 })
        await rename(`${path}.new`, path)
      }),
  }
}
