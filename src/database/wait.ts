/** Waits for a database that may still be starting, and tells whether it may be written to. */
import type { Logger } from "pino"
import type { Sql } from "./connect.ts"
import { isAway } from "./errors.ts"
import { type SchemaState, schemaState } from "./migrations/migrate.ts"

const POLL_MS = 250

/**
 * Resolves to the state of the schema. Rejects with the last error after `seconds`, and at once with an
 * error against which waiting does not help.
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
      const state = await schemaState(sql)
      if (attempt > 1) log.info({ attempt }, "the database is there")
      return state
    } catch (error) {
      if (!isAway(error) || performance.now() + POLL_MS > deadline) throw error
      if (attempt === 1) log.warn({ err: error, seconds }, "waiting for the database")
      await Bun.sleep(POLL_MS)
    }
  }
}

/** False on a standby, and where transactions are read-only by default. */
export const mayWrite = async (sql: Sql): Promise<boolean> => {
  const [state] = await sql<{ may: boolean }[]>`
    select current_setting('transaction_read_only') = 'off' as may`
  return state?.may === true
}
