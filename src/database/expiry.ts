/** Deletes expired rows in batches. All instances do it. */
import type { Logger } from "pino"
import { repeat } from "../concurrency/repeat.ts"
import type { Sql } from "./sql.ts"

const EVERY_MS = 10 * 60_000
/** Rows. Few enough that no lock is held for long. */
const BATCH = 1_000

/** Their rows expire when their `expires_at` has passed. */
const TABLES = [
  // First: deletions of accounts that its rows tell of were ended just before.
  "revocations",
  "sessions",
  "personal_tokens",
  "rate_limits",
  "known_addresses",
  "invites",
  "password_resets",
  "mails",
]

/** Deletes at most `limit` rows and returns how many. */
type DeleteExpired = (sql: Sql, limit: number) => Promise<number>

/**
 * Locked rows are left for the next time. Rows are deleted a minute late, because our clock, by which tokens
 * expire, may be behind the database's.
 */
const ofTable =
  (table: string): DeleteExpired =>
  async (sql, limit) =>
    (
      await sql`
        delete from ${sql(table)}
        where ctid = any (array(
          select ctid
          from ${sql(table)}
          where expires_at < now() - interval '1 minute'
          limit ${limit}
          for update skip locked
        ))`
    ).count

/**
 * Skips a run if this instance has asked the database nothing since the run before: a database that scales to
 * zero is not woken up. `others` delete what expires by another rule, before the rows here that tell them of it.
 * Returns the function that stops it.
 */
export const startExpiry = (sql: Sql, others: DeleteExpired[], log: Logger) => {
  const deletions = [...others, ...TABLES.map(ofTable)]
  let before = -1
  return repeat({
    name: "deleting what has expired",
    everyMs: EVERY_MS,
    log,
    work: async (isStopping) => {
      if (sql.state().ended === before) return
      for (const deleteExpired of deletions)
        while (!isStopping() && (await deleteExpired(sql, BATCH)) > 0);
      before = sql.state().ended
    },
  })
}
