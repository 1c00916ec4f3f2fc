/** Runs dbmate under a lock, in a database that was looked at first. */
import { tmpdir } from "node:os"
import type postgres from "postgres"
import { ConfigError } from "../../config/config.ts"
import { keepIdle, openConnection } from "../driver.ts"
import { writableUrl } from "../failover.ts"
import type { Statements } from "../sql.ts"
import { lackingRights } from "./rights.ts"
import {
  type Files,
  invalidIndexes,
  migrationFiles,
  refuseRollback,
  SchemaError,
  type SchemaState,
  schemaState,
} from "./state.ts"

/** `changed`: what this call applied or rolled back. `invalid`: indexes. */
type Migrated = SchemaState & { schema: string; changed: string[]; invalid: string[] }

const lockPollMs = 100
type Database = {
  version: number
  encoding: string
  has_icu: boolean
  /** Where tables are made. */
  current: string | null
  /** Where the first schema_migrations of the search_path is. */
  holder: string | null
}

const inspect = async (sql: Statements) => {
  const [database] = await sql<[Database]>`
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
  return database
}

const LEAST_POSTGRES = 13

/** What makes a database unfit, found before anything is made in it. */
const problemOf = ({ version, encoding, has_icu, current }: Database) => {
  if (version < LEAST_POSTGRES)
    return `the database is of Postgres ${version}: it must be of ${LEAST_POSTGRES} or newer`
  if (encoding !== "UTF8")
    return `the database has the encoding ${encoding}: it must be UTF8 (create database … encoding 'UTF8' template template0)`
  if (!has_icu) return "the database is of a Postgres without ICU, by which emails are compared"
  if (current === null)
    return "no schema is in the search_path of the role: name one, such as public"
  // dbmate takes it for the name of a database before that of a schema.
  if (current.includes("."))
    return `the schema ${current} has a dot in its name: put another first in the search_path`
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
    // The transaction is idle while the migrations run.
    const [lock] = await transaction<{ is_ours: boolean }[]>`
      select
        pg_try_advisory_xact_lock(hashtextextended('todo-api migrations', 0)) as is_ours,
        count(set_config(name, '0', true))
      from pg_settings
      where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')
    `.simple()
    return lock?.is_ours ? work() : undefined
  })

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
  const sql = openConnection(url)
  const lock = openConnection(url)
  try {
    await keepIdle(sql)
    const database = await inspect(sql)
    const own = database.current ?? "public"
    const found = database.holder ?? own
    const stateIn = (schema: string) =>
      schemaState(sql, files, `${quoted(schema)}.schema_migrations`)
    // Another program's, in a schema that comes after ours.
    const isOther = found !== own && (await stateIn(found)).unknown.length > 0
    const schema = isOther ? own : found
    const describe = async (before?: string[]): Promise<Migrated> => {
      const state = await stateIn(schema)
      const now = new Set(state.applied)
      const changed = [...now.symmetricDifference(new Set(before ?? now))]
      return { schema, ...state, invalid: await invalidIndexes(sql), changed }
    }
    const state = await describe()
    const isNeeded = command === "down" || state.pending.length + state.invalid.length > 0
    if (command === "status" || !isNeeded) return state
    const problem = problemOf(database) ?? (await lackingRights(sql))
    if (problem !== undefined) throw new ConfigError(`DATABASE_URL: ${problem}`)
    if (state.unknown.length > 0) throw new SchemaError(foreign(state.unknown))
    if (command === "down") refuseRollback(state.applied)

    const run = async (): Promise<Migrated> => {
      const { applied, pending } = await stateIn(schema)
      if (command === "down" || pending.length > 0) {
        const { dbmate } = await import("./dbmate.ts")
        const name = command === "up" ? "migrate" : "rollback"
        await dbmate(url, dataDir, withSettings(files, schema), name, schema)
      }
      if (command === "up") await rebuildIndexes(sql)
      return describe(applied)
    }
    for (;;) {
      const migrated = await locked(lock, run)
      if (migrated) return migrated
      await Bun.sleep(lockPollMs)
    }
  } finally {
    await Promise.all([sql.end(), lock.end()])
  }
}
