/** Files that only their owner can read. They are written completely or not at all, even in a power cut. */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { dirname } from "node:path"

/** Makes the names in a directory survive a power cut, which a rename alone does not. */
export const syncDirectory = (directory: string) => {
  const fd = fs.openSync(directory, "r")
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

type Owner = { uid?: number; gid?: number }

/**
 * Writes the draft and renames it to the path. If another writer has the same draft, it fails with
 * EEXIST. `isReady` is called when everything is written, just before the rename.
 */
export const placePrivateFile = (
  path: string,
  text: string,
  { uid, gid = uid }: Owner,
  draft: string,
  isReady: () => void,
) => {
  const fd = fs.openSync(draft, "wx", 0o600)
  try {
    fs.writeFileSync(fd, text)
    if (uid !== undefined && gid !== undefined) fs.fchownSync(fd, uid, gid)
    fs.fsyncSync(fd)
    fs.closeSync(fd)
    isReady()
    fs.renameSync(draft, path)
  } catch (error) {
    fs.rmSync(draft, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
}

/** Readable for the service alone, or for another owner alone. */
export const writePrivateFile = (path: string, text: string, owner: Owner = {}) =>
  placePrivateFile(path, text, owner, `${path}.${randomUUID()}`, () => {})

/** Follows no link: it might lead to somebody else's file. */
export const openPrivateFile = (path: string, flags: number) =>
  fs.openSync(path, flags | fs.constants.O_NOFOLLOW, 0o600)

export const readPrivateFile = (path: string): string => {
  const fd = openPrivateFile(path, fs.constants.O_RDONLY)
  try {
    return fs.readFileSync(fd, "utf8")
  } finally {
    fs.closeSync(fd)
  }
}
