/** The SQL that counts a user's todos. It names the owner. */
import type { Statements } from "../../database/connect.ts"

/** Counts up to `max` todos, and reads the revision at the same moment. */
export const countUpTo = async (sql: Statements, ownerId: number, max: number) => {
  const [row] = await sql<[{ revision: number; count: number }]>`
    select
      coalesce((select revision from revisions where owner_id = ${ownerId}), 0) as revision,
      (
        select count(*)
        from (
          select id
          from todos
          where owner_id = ${ownerId}
          limit ${max}
        ) as counted
      ) as count`
  return row
}
