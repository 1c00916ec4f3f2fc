/** Tells which migrations a database has, and runs dbmate under a lock to change that. */
import { tmpdir } from "node:os"
import postgres from "postgres"
import { connectionOptions } from "../../config/database-url.ts"
import type { Statements } from "../connect.ts"
import { writableUrl } from "../hosts/failover.ts"
import { migrationFiles } from "./files.ts"

/** Versions, the oldest first. Unknown ones were applied by a newer release. */
export type SchemaState = { applied: string[]; pending: string[]; unknown: string[] }
/** `changed`: what this call applied or rolled back. */
type Migrated = SchemaState & { changed: string[] }

type Files = Record<string, string>

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

export const schemaState = async (
  sql: Statements,
  files = migrationFiles(),
): Promise<SchemaState> => {
  const known = Object.keys(files).map((file) => file.slice(0, file.indexOf("_")))
  const applied = await appliedVersions(sql)
  return {
    applied,
    pending: known.filter((version) => !applied.includes(version)).sort(),
    unknown: applied.filter((version) => !known.includes(version)),
  }
}

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
