/** Notes when sessions are used, in memory, and writes it once a minute. */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/connect.ts"
import { touchSessions } from "./queries.ts"

const EVERY_MS = 60_000
/** Sessions a minute. For more than these a later request has to do. */
const LIMIT = 100_000
/** Rows in a statement. */
const BATCH = 1_000

export const createLastUse = (sql: Sql, log: Logger) => {
  /** The user of each used session. */
  let used = new Map<string, number>()

  const flush = async () => {
    const rows = [...used].map(([id, user_id]) => ({ id, user_id }))
    used = new Map()
    // In one order on all instances, so that they do not deadlock.
    rows.sort((a, b) => (a.id < b.id ? -1 : 1))
    for (let i = 0; i < rows.length; i += BATCH) await touchSessions(sql, rows.slice(i, i + BATCH))
  }

  return {
    note(sessionId: string, userId: number) {
      if (used.size < LIMIT) used.set(sessionId, userId)
    },
    /** Returns the function that stops it. */
    start: () =>
      repeat({ name: "writing when sessions were used", everyMs: EVERY_MS, log, work: flush }),
    /** Writes what is left at the end, unless the database is away. */
    flush: () => flush().catch(() => {}),
  }
}
