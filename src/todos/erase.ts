/** Deletes all that an owner has here, in batches, and the owner with the last one. Every statement names the owner. */
import { isLockTimeout } from "../database/errors.ts"
import type { Sql, Statements } from "../database/sql.ts"
import { unavailable } from "../http/problem.ts"
import { inTurn, LIMITED_WAIT, type Turn, type Turns } from "./revisions.ts"

/** Rows. Deleting so many takes tens of milliseconds, far less than the time limit of a statement on a busy machine. */
const DELETED_AT_ONCE = 5_000

/** While somebody holds a lock on one of the rows: three seconds in all. */
const MOST_TRIES = 6
/** Less than after which Postgres looks for deadlocks. */
const LOCK_WAIT = "500ms"

/**
 * Leaves no tombstones: `tombstones_forgotten_up_to` makes replicas begin again. By a range, because a join would
 * compare each with each while the statistics know of few rows.
 */
const deleteSomeTodos = async ({ sql, ownerId }: Turn) => {
  const [row] = await sql<[{ count: number }]>`
    with chosen as (
      select id
      from todos
      where owner_id = ${ownerId}
      order by id
      limit ${DELETED_AT_ONCE}
      for update
    ), gone as (
      delete from todos
      where owner_id = ${ownerId}
        and id <= (select max(id) from chosen)
      returning id
    ), revised as (
      insert into revisions as known (owner_id, revision, tombstones_forgotten_up_to, todos)
      select ${ownerId}::bigint, 1, 1, -count(*)
      from gone
      having count(*) > 0
      on conflict on constraint revisions_pkey do update
      set revision = known.revision + 1,
        tombstones_forgotten_up_to = known.revision + 1,
        todos = known.todos + excluded.todos
    )
    select count(*)
    from gone`
  return row.count
}

/** In the order of a column by which the owner's rows are found. */
const deleteSomeOf =
  (table: string, column: string) =>
  async ({ sql, ownerId }: Turn) =>
    (
      await sql`
        delete from ${sql(table)}
        where owner_id = ${ownerId}
          and ${sql(column)} <= (
            select max(${sql(column)})
            from (
              select ${sql(column)}
              from ${sql(table)}
              where owner_id = ${ownerId}
              order by ${sql(column)}
              limit ${DELETED_AT_ONCE}
            ) as first
          )`
    ).count

/**
 * Locks what every write locks last: who holds another lock of the owner's may be waiting for this one. So
 * this transaction gives up on a lock before it could deadlock, and is tried again.
 */
const LOCK_REVISION = `
  select revision
  from revisions
  where owner_id = $1
    and ${LIMITED_WAIT}
  for update`

/** Without foreign keys too, which a distributed Postgres lacks here. */
const TABLES = ["todos", "idempotency_keys", "deleted_todos", "revisions"]

/** One statement for all rows might exceed its time limit. `deleteOwner` is called in the last transaction. */
export const deleteTodosOf =
  (deps: { sql: Sql; turns: Turns }) =>
  async (userId: number, deleteOwner: (transaction: Statements) => Promise<unknown>) => {
    const writer = { caller: { userId } }
    const deleteAll = async (deleteSome: typeof deleteSomeTodos) => {
      while ((await inTurn(deps, writer, deleteSome)) > 0);
    }
    const deleteRest = ({ sql, ownerId, options }: Turn) =>
      sql.begin(async (transaction) => {
        await transaction.unsafe(LOCK_REVISION, [ownerId, LOCK_WAIT])
        for (const table of TABLES)
          await transaction`
            delete from ${transaction(table)}
            where owner_id = ${ownerId}`
        await deleteOwner(transaction)
      }, options)
    for (let tries = 1; ; tries++) {
      await deleteAll(deleteSomeTodos)
      await deleteAll(deleteSomeOf("deleted_todos", "revision"))
      await deleteAll(deleteSomeOf("idempotency_keys", "key"))
      try {
        return await inTurn(deps, writer, deleteRest)
      } catch (error) {
        if (!isLockTimeout(error)) throw error
        if (tries === MOST_TRIES)
          throw unavailable("Another transaction has locked todos of the user")
      }
    }
  }
