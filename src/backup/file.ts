/** The file of a backup: written completely or not at all, and read only when it is complete. */
import { randomUUID } from "node:crypto"
import { createWriteStream } from "node:fs"
import { mkdtemp, open, rename, rm } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { type Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { syncDirectory } from "../data-dir/private-files.ts"
import { inFirstHome, ownHomes } from "../programs/directory.ts"

/** Only its owner may read it, because it contains everybody's todos. */
const MODE = 0o600

const create = (path: string) => createWriteStream(path, { flags: "wx", mode: MODE })

/** Makes a file's content survive a power cut. */
const sync = async (path: string) => {
  await using file = await open(path, "r+")
  await file.sync()
}

export const writeWhole = async (path: string, write: (output: Writable) => Promise<void>) => {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    await write(create(draft))
    await sync(draft)
    await rename(draft, path)
    syncDirectory(dirname(path))
  } finally {
    await rm(draft, { force: true })
  }
}

/** Waits for a slow reader of a pipe: node:fs fails if it is still full after a few attempts. */
export const createStandardOutput = () => {
  const sink = Bun.stdout.writer()
  return new Writable({
    async write(chunk: Buffer, _encoding, done) {
      try {
        await sink.write(chunk)
        await sink.flush()
        done()
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)))
      }
    },
  })
}

/** Saves a pipe to a file, so that all of it can be verified before the restore begins. */
export const withSpooled = async <Result>(
  input: Readable,
  dataDir: string,
  signal: AbortSignal,
  use: (path: string) => Promise<Result>,
) => {
  const directory = await inFirstHome(ownHomes(dataDir), (parent) =>
    mkdtemp(join(parent, "todo-api-restore-")),
  )
  try {
    const path = join(directory, "backup")
    await pipeline(input, create(path), { signal })
    return await use(path)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
