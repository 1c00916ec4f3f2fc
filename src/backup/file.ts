/** The file of a backup: written completely or not at all, and read only when it is complete. */
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { constants, createWriteStream } from "node:fs"
import { access, mkdtemp, readlink, realpath, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import type { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { syncDirectory } from "../data-dir/private-files.ts"
import { codeOf } from "../database/errors.ts"
import { inFirstHome, ownHomes } from "../programs/directory.ts"
import { BackupError } from "./manifest.ts"

/** Only its owner may read it, because it contains everybody's todos. */
const MODE = 0o600

/** Where a link leads, whether something is there or not. */
const followLinks = async (path: string): Promise<string> => {
  const place = join(await realpath(dirname(path)), basename(path))
  const link = await readlink(place).catch(() => undefined)
  return link === undefined ? place : followLinks(resolve(dirname(place), link))
}

const reasons: Record<string, string> = {
  ENOENT: "its directory does not exist",
  ENOTDIR: "its directory is a file",
  EACCES: "it, or its directory, may not be written to",
  EPERM: "it, or its directory, may not be written to",
  EROFS: "its file system is read-only",
}

/**
 * Replaces a file, or the one that a link leads to, by a complete one or not at all. What is no regular
 * file, such as a device or a pipe, is written into. Whether that is possible is found out first.
 */
export const writeWhole = async (path: string, write: (output: Writable) => Promise<void>) => {
  const unwritable = (reason: string) => new BackupError(`${path} cannot be written: ${reason}`)
  const refuse = (error: unknown) => {
    const reason = reasons[codeOf(error)]
    throw reason === undefined ? error : unwritable(reason)
  }
  const known = await stat(path).catch((error: unknown) =>
    codeOf(error) === "ENOENT" ? undefined : refuse(error),
  )
  if (known && !known.isFile()) {
    if (known.isDirectory()) throw unwritable("it is a directory")
    await access(path, constants.W_OK).catch(refuse)
    return await write(createWriteStream(path))
  }
  const target = await followLinks(path).catch(refuse)
  const draft = join(dirname(target), `.${basename(target)}.${randomUUID()}`)
  // With `flush` its content survives a power cut.
  const output = createWriteStream(draft, { flags: "wx", mode: MODE, flush: true })
  await once(output, "open").catch(refuse)
  try {
    await write(output)
    await rename(draft, target)
    syncDirectory(dirname(target))
  } finally {
    output.destroy()
    await rm(draft, { force: true })
  }
}

/** Saves a pipe to a file, so that all of it can be verified before the restore begins. */
export const withSpooled = async <Result>(
  open: () => Readable,
  dataDir: string,
  signal: AbortSignal,
  use: (path: string) => Promise<Result>,
) => {
  const directory = await inFirstHome(ownHomes(dataDir), (parent) =>
    mkdtemp(join(parent, "todo-api-restore-")),
  )
  try {
    const path = join(directory, "backup")
    await pipeline(open(), createWriteStream(path, { mode: MODE }), { signal })
    return await use(path)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
