/** The migrations of this release: every file of db/migrations by its name. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** The build embeds the folder beside the code. */
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
