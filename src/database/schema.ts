/** Makes sure at the start, and for /health/ready, that the schema is the one that this version needs. */
import type { Logger } from "pino"
import { ConfigError } from "../config/config.ts"
import { mayPass } from "./errors.ts"
import { migrate } from "./migrations/migrate.ts"
import { lackingRights } from "./migrations/rights.ts"
import { invalidIndexes, SchemaError, type SchemaState, schemaState } from "./migrations/state.ts"
import type { Sql } from "./sql.ts"

const POLL_MS = 250

/**
 * Waits for a database that may still be starting. Rejects with the last error after `seconds`, and at once
 * with an error against which waiting does not help.
 */
export const awaitDatabase = async (
  sql: Sql,
  seconds: number,
  log: Logger,
): Promise<SchemaState> => {
  await sql.found
  const deadline = performance.now() + seconds * 1_000
  for (let attempt = 1; ; attempt++) {
    try {
      // First: it names what the role lacks, schema_migrations too.
      const lack = await lackingRights(sql)
      if (lack !== undefined) throw new ConfigError(`DATABASE_URL: ${lack}`)
      const state = await schemaState(sql)
      if (attempt > 1) log.info({ attempt }, "the database is there")
      return state
    } catch (error) {
      if (!mayPass(error) || performance.now() + POLL_MS > deadline) throw error
      if (attempt === 1) log.warn({ err: error, seconds }, "waiting for the database")
      await Bun.sleep(POLL_MS)
    }
  }
}

type Options = {
  log: Logger
  dataDir: string
  waitSeconds: number
  migrate: boolean
  allowNewerSchema: boolean
}

/** Waits for the database and migrates it. Throws if the schema is not the right one afterwards. */
export const prepareSchema = async (sql: Sql, url: string, options: Options) => {
  const { log, dataDir } = options
  const state = await awaitDatabase(sql, options.waitSeconds, log)
  const { changed, pending, unknown } =
    options.migrate && state.pending.length > 0
      ? await migrate(url, "up", { dataDir })
      : { ...state, changed: [] }
  for (const version of changed) log.info({ version }, "migration applied")
  if (pending.length > 0)
    throw new SchemaError(`The database lacks the migrations ${pending.join(", ")}`)
  if (unknown.length > 0 && !options.allowNewerSchema)
    throw new SchemaError(
      `The database has migrations that this version does not know: ${unknown.join(", ")}. ` +
        "Start with --allow-newer-schema if this is a roll-back.",
    )
  const [session] = await sql<[{ isolation: string }]>`
    select current_setting('default_transaction_isolation') as isolation`
  // Behind a pooler a connection cannot say what it relies on.
  if (session.isolation !== "read committed")
    log.warn(session, "writes at once may fail: set default_transaction_isolation of the role")
  for (const index of await invalidIndexes(sql))
    log.warn({ index }, "an index is not valid, so that statements are slow: run todo-api migrate")
}

/**
 * Whether the service can do its work. A newer schema is fine: a rolling deploy may be under way. Logs a
 * reason that does not pass by itself, once.
 */
export const createReadiness = (sql: Sql, log: Logger) => {
  let logged: string | undefined
  const reasonNow = async () => {
    // First: it also finds why the others are refused.
    const lack = await lackingRights(sql)
    if (lack !== undefined) return lack
    const { pending } = await schemaState(sql)
    if (pending.length > 0) return `the database lacks the migrations ${pending.join(", ")}`
    const [transaction] = await sql<[{ is_read_only: boolean }]>`
      select current_setting('transaction_read_only')::boolean as is_read_only`
    return transaction.is_read_only ? "the database is read-only" : undefined
  }
  return async (): Promise<boolean> => {
    try {
      const reason = await reasonNow()
      if (reason !== undefined && reason !== logged) log.error({ reason }, "not ready")
      logged = reason
      return reason === undefined
    } catch {
      return false
    }
  }
}
