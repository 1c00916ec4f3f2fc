/** Puts the files of a program into a directory, and verifies them before it is executed. */
import { createHash, randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { join } from "node:path"

export type ProgramFile = {
  path: string
  isExecutable: boolean
  sha256: string
  read(): Promise<Uint8Array>
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

/** A name that is different for different contents. */
export const contentName = (files: ProgramFile[]) =>
  sha256(Buffer.from(files.map(({ path, sha256 }) => `${sha256} ${path}\n`).join(""))).slice(0, 16)

/** Whether nobody else could have written the file, which is about to be executed. */
const isOurs = (path: string) => {
  const { uid, mode } = fs.lstatSync(path)
  return uid === process.geteuid?.() && (mode & 0o022) === 0
}

const isIntact = (path: string, file: ProgramFile) =>
  fs.lstatSync(path, { throwIfNoEntry: false })?.isFile() === true &&
  isOurs(path) &&
  sha256(fs.readFileSync(path)) === file.sha256

/** Readable for the service alone, or for a group too. */
const give = (path: string, isExecutable: boolean, gid: number | undefined) => {
  if (gid !== undefined) fs.chownSync(path, -1, gid)
  const mode = gid === undefined ? 0o600 : 0o640
  fs.chmodSync(path, isExecutable ? mode | ((mode & 0o440) >> 2) : mode)
}

const makeDirectory = (path: string, gid: number | undefined) => {
  if (fs.mkdirSync(path, { recursive: true, mode: 0o700 })) give(path, true, gid)
  if (!fs.lstatSync(path).isDirectory() || !isOurs(path))
    throw new Error(`${path} is not a directory that only we can write to`)
}

const place = async (path: string, file: ProgramFile, gid: number | undefined) => {
  const draft = `${path}.${randomUUID()}`
  try {
    const bytes = await file.read()
    if (sha256(bytes) !== file.sha256) throw new Error(`${file.path} is damaged`)
    fs.writeFileSync(draft, bytes, { flag: "wx", mode: 0o600 })
    give(draft, file.isExecutable, gid)
    fs.renameSync(draft, path)
  } finally {
    fs.rmSync(draft, { force: true })
  }
}

/**
 * Each file is placed completely or not at all, and concurrent starts place the same files. Every start
 * checks that all of them are intact: then the program can be executed.
 */
export const placeFiles = async (
  files: ProgramFile[],
  directory: string,
  gid: number | undefined,
) => {
  const directories = new Set([directory])
  for (const { path } of files)
    for (let slash = path.indexOf("/"); slash !== -1; slash = path.indexOf("/", slash + 1))
      directories.add(join(directory, path.slice(0, slash)))
  for (const path of directories) makeDirectory(path, gid)
  for (const file of files) {
    const path = join(directory, file.path)
    if (!isIntact(path, file)) await place(path, file, gid)
  }
}
