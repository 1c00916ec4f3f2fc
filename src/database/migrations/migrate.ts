/** The migration files, which of them a database has, and dbmate under a lock to change that. */
import { readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import postgres from "postgres"
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

export const hasFormer = (applied: string[]) => applied.includes("20260101000001")

const refuseOlder = (applied: string[], what: string) => {
  if (hasFormer(applied) && !FORMER.every((version) => applied.includes(version)))
    throw new SchemaError(
      `${what} is too old for this version, which begins with ${FORMER.at(-1)}: migrate it with ` +
        "todo-api of commit 168fbfb first, or restore it there and back it up again. Nothing was changed.",
    )
}

/** Versions, the oldest first. Unknown ones were applied by a newer release. */
export type SchemaState = { applied: string[]; pending: string[]; unknown: string[] }
/** `changed`: what this call applied or rolled back. */
type Migrated = SchemaState & { changed: string[] }

const lockPollMs = 100
const undefinedTable = "42P01"

const appliedVersions = async (sql: Statements): Promise<string[]> => {
  try {
    const rows = await sql<{ version: string }[]>`
      select version
      from schema_migrations
      order by version`
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
    unknown: applied.filter((version) => version >= JOINING && !known.includes(version)),
  }
}

export const schemaState = async (sql: Statements, files?: Files) =>
  stateOf(await appliedVersions(sql), files)

/**
 * Undefined while another instance holds the lock. The lock belongs to a transaction, because behind
 * PgBouncer sessions are shared. The transaction must not hold a snapshot, or "create index
 * concurrently" would wait for it. So the lock is tried without waiting, and by the simple protocol,
 * because portals of the extended one hold snapshots.
 */
const locked = <Result>(sql: postgres.Sql, work: () => Promise<Result>) =>
  sql.begin(async (transaction) => {
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
  const isNeeded = ({ pending }: SchemaState) => command === "down" || pending.length > 0
  const run = async (): Promise<Migrated> => {
    const before = await schemaState(sql, files)
    if (isNeeded(before)) {
      const { dbmate } = await import("./dbmate.ts")
      await dbmate(url, dataDir, files, command === "up" ? "migrate" : "rollback")
    }
    const after = await schemaState(sql, files)
    const changed = new Set(before.applied).symmetricDifference(new Set(after.applied))
    return { ...after, changed: [...changed] }
  }
  try {
    const state = await schemaState(sql, files)
    if (command === "status" || !isNeeded(state)) return { ...state, changed: [] }
    for (;;) {
      const migrated = await locked(sql, run)
      if (migrated) return migrated
      await Bun.sleep(lockPollMs)
    }
  } finally {
    await sql.end()
  }
}
