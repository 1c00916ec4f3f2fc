/** All SQL by which a user's todos are counted. It names the owner. */
import type { Statements } from "../../database/connection.ts"

/** Of one moment. No more than `max` are counted. */
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
