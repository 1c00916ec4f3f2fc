/** The SQL that deletes a user's todos, together with the user. Every statement names the owner. */
import type { Sql, Statements } from "../database/connect.ts"
import { isLockTimeout } from "../database/errors.ts"

/** Rows. Deleting so many takes about 100 ms, far less than the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

/** Leaves no tombstones: `tombstones_forgotten_up_to` makes clients with a copy begin again. */
const deleteSomeOf = async (sql: Sql, ownerId: number, limit: number) => {
  const [row] = await sql<[{ count: number }]>`
    with chosen as (
      select id
      from todos
      where owner_id = ${ownerId}
      order by id
      limit ${limit}
      for update
    ), gone as (
      delete from todos
      using chosen
      where todos.owner_id = ${ownerId}
        and todos.id = chosen.id
      returning todos.id
    ), counted as (
      select count(*) as count
      from gone
    ), revised as (
      insert into revisions as known (owner_id, revision, tombstones_forgotten_up_to)
      select ${ownerId}::bigint, 1, 1
      from counted
      where count > 0
      on conflict on constraint revisions_pkey do update
      set revision = known.revision + 1,
        tombstones_forgotten_up_to = known.revision + 1
    )
    select count
    from counted`
  return row.count
}

const deleteTombstonesOf = async (sql: Sql, ownerId: number, limit: number) =>
  (
    await sql`
      delete from deleted_todos
      where owner_id = ${ownerId}
        and (revision, id) in (
          select revision, id
          from deleted_todos
          where owner_id = ${ownerId}
          order by revision, id
          limit ${limit}
        )`
  ).count

/**
 * Deletes all of a user's todos, in batches, because one statement for all might exceed its time limit.
 * Then calls `deleteOwner` in a transaction that has locked the revision, the todos and the keys. Changes
 * lock the revision last, so the others are locked without waiting: otherwise it could deadlock.
 */
export const deleteTodosOf = async (
  sql: Sql,
  ownerId: number,
  deleteOwner: (transaction: Statements) => Promise<unknown>,
) => {
  for (;;) {
    while ((await deleteSomeOf(sql, ownerId, DELETED_AT_ONCE)) > 0);
    while ((await deleteTombstonesOf(sql, ownerId, DELETED_AT_ONCE)) > 0);
    try {
      return await sql.begin(async (transaction) => {
        await transaction`
          select revision
          from revisions
          where owner_id = ${ownerId}
          for update`
        await transaction`
          select id
          from todos
          where owner_id = ${ownerId}
          for update nowait`
        await transaction`
          select key
          from idempotency_keys
          where owner_id = ${ownerId}
          for update nowait`
        // Foreign keys would delete them, but a distributed Postgres has none here.
        await transaction`
          delete from idempotency_keys
          where owner_id = ${ownerId}`
        await transaction`
          delete from revisions
          where owner_id = ${ownerId}`
        await deleteOwner(transaction)
      })
    } catch (error) {
      if (!isLockTimeout(error)) throw error
    }
  }
}
