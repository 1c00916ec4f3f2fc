/** The migration files, and which of them a database or a backup has. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import postgres from "postgres"
import type { Statements } from "../sql.ts"

/** In the executable the build puts the folder beside the code. */
const directory = Bun.isStandaloneExecutable
  ? join(import.meta.dir, "migrations")
  : join(import.meta.dir, "..", "..", "..", "db", "migrations")

export type Files = Record<string, string>

let texts: Files | undefined

/** The texts of db/migrations by file name. */
export const migrationFiles = (): Files => {
  texts ??= Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [name, readFileSync(join(directory, name), "utf8")]),
  )
  return texts
}

export const versionOf = (file: string) => file.slice(0, file.indexOf("_"))

/** A schema that this version cannot use. */
export class SchemaError extends Error {
  override name = "SchemaError"
}

/**
 * It brings a database that has all migrations before it, from FIRST_FORMER to LAST_FORMER, to the schema
 * that the files of today give to an empty one. Those have numbers in between, so that such a database does
 * not lack them.
 */
export const JOINING = "20260101000020"
const FIRST_FORMER = "20260101000001"
const LAST_FORMER = "20260101000019"
/** The numbers up to its own are never unknown. */
const NUMBERED = /^202601010000[01]\d$/

const refuseOlder = (applied: string[], what: string) => {
  if (applied.includes(FIRST_FORMER) && !applied.includes(LAST_FORMER))
    throw new SchemaError(
      `${what} is too old for this version, which begins with ${LAST_FORMER}: migrate it with ` +
        "todo-api of commit 168fbfb first, or restore it there and back it up again. Nothing was changed.",
    )
}

/** Its versions are of other files than ours: what these roll back would not be what it applied. */
export const refuseRollback = (applied: string[]) => {
  if (applied.includes(FIRST_FORMER) && applied.every((version) => version <= JOINING))
    throw new SchemaError(
      `The database is of commit 168fbfb, and the step from ${LAST_FORMER} is not undone: restore a backup from before it.`,
    )
}

/** Versions, the oldest first. Unknown ones were applied by a newer release, or by another program. */
export type SchemaState = { applied: string[]; pending: string[]; unknown: string[] }
const undefinedTable = "42P01"

const appliedVersions = async (sql: Statements, table: string): Promise<string[]> => {
  try {
    const rows = await sql.unsafe<{ version: string }[]>(
      `select version::text from ${table} order by version`,
    )
    return rows.map(({ version }) => version)
  } catch (error) {
    if (error instanceof postgres.PostgresError && error.code === undefinedTable) return []
    throw error
  }
}

/** What the files mean for a database, or a backup, that has these versions. */
export const stateOf = (
  applied: string[],
  files = migrationFiles(),
  what = "The database",
): SchemaState => {
  refuseOlder(applied, what)
  const known = Object.keys(files).map(versionOf)
  return {
    applied,
    pending: known.filter((version) => !applied.includes(version)).sort(),
    unknown: applied.filter((version) => !known.includes(version) && !NUMBERED.test(version)),
  }
}

export const schemaState = async (
  sql: Statements,
  files?: Files,
  table = "schema_migrations",
): Promise<SchemaState> => stateOf(await appliedVersions(sql, table), files)

/** The names of what the migrations create, as a JSON array: a pooler may not know the types of arrays. */
export const createdNames = (kind: string) =>
  JSON.stringify(
    Object.values(migrationFiles())
      .flatMap((text) => [...text.matchAll(new RegExp(`^create ${kind} (\\w+)`, "gm"))])
      .map(([, name]) => name),
  )

/** Indexes of ours whose building was cut off: Postgres keeps them, and no statement uses them. */
export const invalidIndexes = async (sql: Statements): Promise<string[]> => {
  const rows = await sql<{ name: string }[]>`
    select indexrelid::regclass::text as name
    from pg_index
    where not indisvalid
      and indrelid in (
        select to_regclass(name)
        from json_array_elements_text(${createdNames("table")}::text::json) as named (name)
      )
    order by name`
  return rows.map(({ name }) => name)
}
