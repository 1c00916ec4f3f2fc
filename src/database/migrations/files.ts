/** The migrations of this release: the texts of db/migrations by file name. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** In the executable the build puts the folder beside the code. */
const directory = Bun.isStandaloneExecutable
  ? join(import.meta.dir, "migrations")
  : join(import.meta.dir, "..", "..", "..", "db", "migrations")

let files: Record<string, string> | undefined

export const migrationFiles = (): Record<string, string> => {
  files ??= Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [name, readFileSync(join(directory, name), "utf8")]),
  )
  return files
}
