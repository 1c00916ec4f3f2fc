/** All SQL that forgets deletions after 90 days. It looks for them in the rows of all owners. */
import type { Sql } from "../../database/connect.ts"

/** The owners of the oldest expired deletions, with the revision of their last one. */
const expiredTombstones = (sql: Sql, limit: number) => sql<
  { owner_id: number; revision: number }[]
>`
  select owner_id, max(revision) as revision
  from (
    select owner_id, revision
    from deleted_todos
    where deleted_at < now() - interval '90 days'
    order by deleted_at
    limit ${limit}
  ) as expired
  group by owner_id`

/** The same statement writes up to which revision, so that clients that miss one of them are told. */
const forgetDeletions = async (sql: Sql, ownerId: number, revision: number) => {
  const [row] = await sql<[{ count: number }]>`
    with gone as (
      delete from deleted_todos
      where owner_id = ${ownerId}
        and revision <= ${revision}
      returning id
    ), forgotten as (
      update revisions
      set tombstones_forgotten_up_to = greatest(tombstones_forgotten_up_to, ${revision}::bigint)
      where owner_id = ${ownerId}
        and exists (select from gone)
    )
    select count(*)
    from gone`
  return row.count
}

/** Deletes about `limit` deletions, of all owners, one after the other. Returns how many. */
export const deleteExpiredTombstones = async (sql: Sql, limit: number) => {
  let count = 0
  for (const { owner_id, revision } of await expiredTombstones(sql, limit))
    count += await forgetDeletions(sql, owner_id, revision)
  return count
}
