/** Deletes rows whose `expires_at` has passed. */
import type { Sql } from "./connect.ts"

/**
 * Deletes at most `limit` rows, and returns how many. Locked rows are left for the next time. Rows are
 * deleted a minute late, because our clock, by which tokens expire, may be behind the database's.
 */
export const deleteExpiredRows = async (sql: Sql, table: string, limit: number) => {
  const { count } = await sql`
    delete from ${sql(table)}
    where ctid = any (array(
      select ctid
      from ${sql(table)}
      where expires_at < now() - interval '1 minute'
      limit ${limit}
      for update skip locked
    ))`
  return count
}
