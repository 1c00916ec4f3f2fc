/** The migration files, which of them a database has, and dbmate under a lock to change that. */
import { readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import postgres from "postgres"
import { ConfigError } from "../../config/config.ts"
import { connectionOptions } from "../../config/database-url.ts"
import type { Statements } from "../connect.ts"
import { writableUrl } from "../hosts/failover.ts"

/** In the executable the build puts the folder beside the code. */
const directory = Bun.isStandaloneExecutable
  ? join(import.meta.dir, "migrations")
  : join(import.meta.dir, "..", "..", "..", "db", "migrations")

type Files = Record<string, string>

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
 * The migrations before JOINING. It brings a database that has all of them to the schema that the files
 * of today give to an empty one. Those have numbers of these, so that such a database does not lack them,
 * but not the first one, which tells it from a database that began with the files of today.
 */
const FORMER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19].map(
  (number) => `202601010000${String(number).padStart(2, "0")}`,
)
export const JOINING = "20260101000020"
/** The numbers up to its own are never unknown. */
const NUMBERED = /^202601010000[01]\d$/

export const hasFormer = (applied: string[]) => applied.includes("20260101000001")

const refuseOlder = (applied: string[], what: string) => {
  if (hasFormer(applied) && !FORMER.every((version) => applied.includes(version)))
    throw new SchemaError(
      `${what} is too old for this version, which begins with ${FORMER.at(-1)}: migrate it with ` +
        "todo-api of commit 168fbfb first, or restore it there and back it up again. Nothing was changed.",
    )
}

/** Versions, the oldest first. Unknown ones were applied by a newer release, or by another program. */
export type SchemaState = { applied: string[]; pending: string[]; unknown: string[] }
/** `changed`: what this call applied or rolled back. `invalid`: indexes. */
type Migrated = SchemaState & { schema: string; changed: string[]; invalid: string[] }

const lockPollMs = 100
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

/** Indexes of ours whose building was cut off: Postgres keeps them, and no statement uses them. */
export const invalidIndexes = async (sql: Statements): Promise<string[]> => {
  const created = Object.values(migrationFiles())
    .join("\n")
    .matchAll(/^create table (\w+)/gm)
  const tables = [...created].map(([, name]) => name)
  const rows = await sql<{ name: string }[]>`
    select indexrelid::regclass::text as name
    from pg_index
    where not indisvalid
      and indrelid in (
        select to_regclass(name)
        from json_array_elements_text(${JSON.stringify(tables)}::text::json) as named (name)
      )
    order by name`
  return rows.map(({ name }) => name)
}

type Place = {
  version: number
  encoding: string
  has_icu: boolean
  /** Where tables are made. */
  current: string | null
  /** Where the first schema_migrations of the search_path is. */
  holder: string | null
}

const findPlace = async (sql: Statements) => {
  const [place] = await sql<[Place]>`
    select
      current_setting('server_version_num')::integer / 10000 as version,
      current_setting('server_encoding') as encoding,
      exists (select from pg_collation where collname = 'und-x-icu') as has_icu,
      current_schema()::text as current,
      (
        select nspname::text
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid = to_regclass('schema_migrations')
      ) as holder`
  return place
}

const LEAST_POSTGRES = 13

/** What makes a database unfit, found before anything is made in it. */
const problemOf = ({ version, encoding, has_icu, current }: Place) => {
  if (version < LEAST_POSTGRES)
    return `is of Postgres ${version}: it must be of ${LEAST_POSTGRES} or newer`
  if (encoding !== "UTF8")
    return `has the encoding ${encoding}: it must be UTF8 (create database … encoding 'UTF8' template template0)`
  if (!has_icu)
    return "is of a Postgres without ICU, by which emails are compared: it must be built with ICU"
  if (current === null)
    return "has no schema in the search_path of its role: name one, such as public"
  return undefined
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/**
 * The files with settings that do not depend on the role. They are local, because behind a pooler nothing
 * else lasts; what runs outside of a transaction goes without.
 */
const withSettings = (files: Files, schema: string): Files => {
  const settings = `set local search_path = ${quoted(schema)};
set local statement_timeout = 0;
set local lock_timeout = '10s';`
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [
      name,
      text.replace(
        /^-- migrate:(?:up|down)(?!.*transaction:false).*$/gm,
        (line) => `${line}\n${settings}`,
      ),
    ]),
  )
}

/**
 * Undefined while another instance holds the lock. The lock belongs to a transaction, because behind
 * PgBouncer sessions are shared. The transaction must not hold a snapshot, or "create index
 * concurrently" would wait for it. So the lock is tried without waiting, and by the simple protocol,
 * because portals of the extended one hold snapshots.
 */
const locked = <Result>(sql: postgres.Sql, work: () => Promise<Result>) =>
  sql.begin("isolation level read committed", async (transaction) => {
    const [lock] = await transaction<{ held: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended('todo-api migrations', 0)) as held
    `.simple()
    if (!lock?.held) return undefined
    // The transaction is idle while the migrations run.
    await transaction`
      select set_config(name, '0', true)
      from pg_settings
      where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')
    `.simple()
    return work()
  })

/** The lock's transaction has the other connection, so that these settings hold for the statements below. */
const rebuildIndexes = async (sql: postgres.Sql) => {
  const indexes = await invalidIndexes(sql)
  if (indexes.length === 0) return
  await sql`set statement_timeout = 0`
  await sql`set lock_timeout = 0`
  // What a rebuilding left behind that was cut off itself.
  for (const index of indexes)
    await sql.unsafe(
      /_cc(new|old)\d*"?$/.test(index)
        ? `drop index concurrently ${index}`
        : `reindex index concurrently ${index}`,
    )
}

const foreign = (unknown: string[]) => {
  const [some, more] = [unknown.slice(0, 3).join(", "), unknown.length - 3]
  return (
    `The database's schema_migrations has versions that this todo-api does not know: ${some}` +
    `${more > 0 ? ` and ${more} more` : ""}. A newer one or another program uses it: take the newer ` +
    "version, or another database or schema. Nothing was changed."
  )
}

/** With several hosts, migrates the one that is written to. */
export const migrate = async (
  databaseUrl: string,
  command: "up" | "down" | "status",
  { files = migrationFiles(), dataDir = tmpdir() }: { files?: Files; dataDir?: string } = {},
): Promise<Migrated> => {
  const url = await writableUrl(databaseUrl)
  const sql = postgres({
    ...connectionOptions(url),
    max: 2,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
  })
  try {
    const place = await findPlace(sql)
    const own = place.current ?? "public"
    const found = place.holder ?? own
    const stateIn = (schema: string) =>
      schemaState(sql, files, `${quoted(schema)}.schema_migrations`)
    // Another program's, in a schema that comes after ours.
    const isOther = found !== own && (await stateIn(found)).unknown.length > 0
    const schema = isOther ? own : found
    const describe = async (changed: string[]): Promise<Migrated> => ({
      schema,
      ...(await stateIn(schema)),
      invalid: await invalidIndexes(sql),
      changed,
    })
    const state = await describe([])
    const isNeeded = ({ pending, invalid }: Migrated) =>
      command === "down" || pending.length + invalid.length > 0
    if (command === "status" || !isNeeded(state)) return state
    const problem = problemOf(place)
    if (problem !== undefined) throw new ConfigError(`DATABASE_URL: the database ${problem}`)
    if (state.unknown.length > 0) throw new SchemaError(foreign(state.unknown))

    const run = async (): Promise<Migrated> => {
      const before = await describe([])
      if (command === "down" || before.pending.length > 0) {
        const { dbmate } = await import("./dbmate.ts")
        const name = command === "up" ? "migrate" : "rollback"
        await dbmate(url, dataDir, withSettings(files, schema), name, schema)
      }
      if (command === "up") await rebuildIndexes(sql)
      const { applied } = await stateIn(schema)
      return describe([...new Set(before.applied).symmetricDifference(new Set(applied))])
    }
    for (;;) {
      const migrated = await locked(sql, run)
      if (migrated) return migrated
      await Bun.sleep(lockPollMs)
    }
  } finally {
    await sql.end()
  }
}
