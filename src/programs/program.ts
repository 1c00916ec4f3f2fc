/** The programs that the service starts, from this executable or from npm packages. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { ProgramFile } from "./files.ts"
import {
  dbmateFiles,
  dbmatePackage,
  hostPlatform,
  postgresFiles,
  postgresPackage,
} from "./npm-packages.ts"

export type Program = {
  /** The path of the executable below its directory. */
  executable: string
  /** The directory where it may be installed. */
  installed?: string
  files(): ProgramFile[]
}

/** What an archive says of a file, in the list before all files. */
export type Entry = Pick<ProgramFile, "path" | "isExecutable" | "sha256"> & { packedSize: number }

export const END_OF_LIST = "\n"

export const openArchive = (archive: Uint8Array): ProgramFile[] => {
  const end = archive.indexOf(END_OF_LIST.charCodeAt(0))
  const list = JSON.parse(new TextDecoder().decode(archive.subarray(0, end))) as Entry[]
  let next = end + END_OF_LIST.length
  return list.map(({ packedSize, ...file }) => {
    const start = next
    next += packedSize
    return { ...file, read: () => Bun.zstdDecompress(archive.subarray(start, start + packedSize)) }
  })
}

/** What .ci/build.ts puts into the single file under this name. */
export const enclosed = (name: string) => readFileSync(join(import.meta.dir, "programs", name))

const embedded = (executable: string, name: string): Program => ({
  executable,
  files: () => openArchive(enclosed(name)),
})

export const postgresProgram = (): Program => {
  if (Bun.isStandaloneExecutable) return embedded("bin/postgres", "postgres")
  const installed = postgresPackage(hostPlatform, import.meta.dir)
  return { executable: "bin/postgres", installed, files: () => postgresFiles(installed) }
}

export const dbmateProgram = (): Program => {
  if (Bun.isStandaloneExecutable) return embedded("bin/dbmate", "dbmate")
  const installed = dbmatePackage(hostPlatform, import.meta.dir)
  return { executable: "bin/dbmate", installed, files: () => dbmateFiles(installed) }
}
