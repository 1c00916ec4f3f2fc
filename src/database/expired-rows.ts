/** Deletes the rows of a table whose `expires_at` has passed, a batch at a time. */
import type { Sql } from "./connection.ts"

/**
 * Returns how many of at most `limit` it deleted; rows in use are left for the next time. A minute
 * late, because the clock by which a token expires may be behind the database's.
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
