/** Files that nobody else reads or writes, whole or not there, even after a power cut. */
import { randomUUID } from "node:crypto"
import {
  closeSync,
  constants,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { dirname } from "node:path"

/** Makes names in a directory survive a power cut: a rename alone does not. */
export const syncDirectory = (directory: string) => {
  const fd = openSync(directory, "r")
  fsyncSync(fd)
  closeSync(fd)
}

type Owner = { uid?: number; gid?: number }

/**
 * Whole or not at all, and for its owner alone. Of two writers of one draft the second fails with
 * EEXIST. `isReady` is called when all is written, just before the file takes its place.
 */
export const placePrivateFile = (
  path: string,
  text: string,
  { uid, gid = uid }: Owner,
  draft: string,
  isReady: () => void,
) => {
  const fd = openSync(draft, "wx", 0o600)
  try {
    writeFileSync(fd, text)
    if (uid !== undefined && gid !== undefined) fchownSync(fd, uid, gid)
    fsyncSync(fd)
    closeSync(fd)
    isReady()
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  syncDirectory(dirname(path))
}

/** For us alone, or for another owner alone. */
export const writePrivateFile = (path: string, text: string, owner: Owner = {}) =>
  placePrivateFile(path, text, owner, `${path}.${randomUUID()}`, () => {})

/** Opens no link, which may lead to a file that is none of ours. */
export const openPrivateFile = (path: string, flags: number) =>
  openSync(path, flags | constants.O_NOFOLLOW, 0o600)

export const readPrivateFile = (path: string): string => {
  const fd = openPrivateFile(path, constants.O_RDONLY)
  try {
    return readFileSync(fd, "utf8")
  } finally {
    closeSync(fd)
  }
}
