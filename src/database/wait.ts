/** Waits for a database that is not up yet: it starts beside us, or wakes when it is asked. */
import type { Logger } from "pino"
import type { Sql } from "./connection.ts"
import { isAway } from "./errors.ts"
import { type SchemaState, schemaState } from "./migrations/migrate.ts"

const POLL_MS = 250

/**
 * Resolves to what the start asks first, the schema that is there. Rejects with the last error
 * after `seconds`, and at once with one that waiting does not mend.
 */
export const awaitDatabase = async (
  sql: Sql,
  seconds: number,
  log: Logger,
): Promise<SchemaState> => {
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
