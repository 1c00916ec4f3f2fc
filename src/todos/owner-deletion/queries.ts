/** All SQL by which the todos of a user who is deleted go. Every statement names the owner. */
import type { Sql, Statements } from "../../database/connection.ts"
import { isLockTimeout } from "../../database/errors.ts"
import { COUNTING } from "../revisions/queries.ts"

/** Rows: some 100 ms of work, far from the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

/** Nothing remembers them: who has a copy is told to begin again. */
const deleteSomeOf = async (sql: Sql, ownerId: number, limit: number) => {
  const [row] = await sql<[{ count: number }]>`
    with chosen as (
      select id
      from todos
      where owner_id = ${ownerId}
        and ${sql.unsafe(COUNTING)}
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
      insert into revisions as known (owner_id, revision, forgotten)
      select ${ownerId}::bigint, 1, 1
      from counted
      where count > 0
      on conflict on constraint revisions_pkey do update
      set revision = known.revision + 1,
        forgotten = known.revision + 1
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
 * All of a user's, in batches: one statement for all of them might run into its limit. Then
 * `deleteOwner` in a transaction that has locked the revision, which every change asks for last,
 * and after it the todos and keys that there are, without waiting: it waits for nobody who waits
 * for it.
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
        // Foreign keys would do it, which a distributed Postgres does not have.
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
