/** The programs that the service starts, from this executable or from npm packages. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { openArchive } from "./archive.ts"
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

/** The build embeds archives with these names. */
const embedded = (executable: string, name: string): Program => ({
  executable,
  files: () => openArchive(readFileSync(join(import.meta.dir, "programs", name))),
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
