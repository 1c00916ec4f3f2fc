/** All SQL over todos but lists of them. Every statement of a request names the owner. */
import type postgres from "postgres"
import type { Sql, Statements } from "../database/connection.ts"
import { isLockTimeout } from "../database/errors.ts"
import type { NewTodo, Todo, TodoChanges } from "./model.ts"
import { inTurn } from "./turns.ts"

/** A todo with the version that its entity tag is made of. */
export type Versioned = Todo & { version: number }
/** As it was written, with the owner's revision that came of it. */
export type Written = Versioned & { revision: number }

/** For how long a key is remembered. */
export const keyLifetime = (sql: Statements) => sql`interval '30 days'`

/** A condition that is true. Evaluated before a statement locks a row, it limits how long it waits. */
const limitedWait = (sql: Sql) => sql`set_config('lock_timeout', '50ms', true) <> ''`

/**
 * A change waits until whoever changes the same todo, or another one of the owner, has committed.
 * That is brief, unless a transaction goes on for longer: then the statement is given up, and made
 * again on a connection of its own, where nobody waits behind it.
 */
const changing = <Rows>(
  sql: Sql,
  ownerId: number,
  write: (sql: Statements, patience: postgres.PendingQuery<postgres.Row[]>) => Promise<Rows>,
): Promise<Rows> =>
  inTurn(ownerId, async () => {
    try {
      return await write(sql.brief, limitedWait(sql))
    } catch (error) {
      if (!isLockTimeout(error)) throw error
      return write(sql, sql`true`)
    }
  })

/**
 * Counts the owner's revision up where `condition` holds, and locks it until the commit. It is
 * the last lock that a change asks for, so that no two changes wait for each other. Where the
 * todos that are added would lead beyond the revision `room` it breaks a constraint: quota/quota.ts
 * relies on no more than one new todo a step.
 */
export const nextRevision = (
  sql: Statements,
  ownerId: number,
  condition: postgres.PendingQuery<postgres.Row[]>,
  room?: number,
  { steps, added } = { steps: 1, added: 1 },
) => sql`
  insert into revisions as known (owner_id, revision)
  select ${ownerId}::bigint, ${room === undefined || added <= room ? steps : null}::bigint
  ${condition}
  on conflict on constraint revisions_pkey do update
  set revision = ${
    room === undefined
      ? sql`known.revision + ${steps}`
      : sql`case when known.revision + ${added} <= ${room} then known.revision + ${steps} end`
  }
  returning revision`

export const insertTodo = async (sql: Sql, ownerId: number, todo: NewTodo, room?: number) => {
  const [row] = await changing(
    sql,
    ownerId,
    (tag, patience) => tag<[Written]>`
      with revised as (
        ${nextRevision(sql, ownerId, sql`where ${patience}`, room)}
      )
      insert into todos (owner_id, title, description, is_completed, revision)
      select
        ${ownerId}::bigint,
        ${todo.title},
        ${todo.description ?? null},
        ${todo.is_completed ?? false}::boolean,
        revision
      from revised
      returning id, title, description, is_completed, created_at, updated_at, version, revision`,
  )
  return row
}

/**
 * Undefined where the key is in use. Whoever uses it at the same time waits for
 * this statement to commit. An expired key that is still there counts as absent.
 */
export const insertTodoOnce = async (
  sql: Sql,
  ownerId: number,
  key: string,
  bodyHash: Uint8Array,
  todo: NewTodo,
  room?: number,
) => {
  const [row] = await changing(
    sql,
    ownerId,
    (tag, patience) => tag<Written[]>`
      with claimed as (
        insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
        select ${ownerId}::bigint, ${key}, ${bodyHash}::bytea, nextval('todo_ids')
        where ${patience}
        on conflict on constraint idempotency_keys_pkey do update
        set body_hash = excluded.body_hash,
          todo_id = excluded.todo_id,
          created_at = excluded.created_at
        where excluded.created_at - known.created_at >= ${keyLifetime(sql)}
        returning todo_id
      ), revised as (
        ${nextRevision(sql, ownerId, sql`from claimed`, room)}
      )
      insert into todos (owner_id, id, title, description, is_completed, revision)
      select
        ${ownerId}::bigint,
        todo_id,
        ${todo.title},
        ${todo.description ?? null},
        ${todo.is_completed ?? false}::boolean,
        revision
      from claimed
      cross join revised
      returning id, title, description, is_completed, created_at, updated_at, version, revision`,
  )
  return row
}

export type KeyUse = { body_hash: Uint8Array; todo_id: number; created_at: string }

export const findKeyUse = async (sql: Sql, ownerId: number, key: string) => {
  const [row] = await sql<KeyUse[]>`
    select body_hash, todo_id, created_at
    from idempotency_keys
    where owner_id = ${ownerId}
      and key = ${key}
      and created_at > now() - ${keyLifetime(sql)}`
  return row
}

/**
 * Of all owners. Returns how many of at most `limit`. One that is claimed anew meanwhile has not
 * expired any more, which the outer condition finds.
 */
export const deleteExpiredKeys = async (sql: Sql, limit: number) =>
  (
    await sql`
      delete from idempotency_keys
      where (owner_id, key) in (
        select owner_id, key
        from idempotency_keys
        where created_at <= now() - ${keyLifetime(sql)}
        order by created_at
        limit ${limit}
      )
        and created_at <= now() - ${keyLifetime(sql)}`
  ).count

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql.brief<Versioned[]>`
    select id, title, description, is_completed, created_at, updated_at, version
    from todos
    where owner_id = ${ownerId}
      and id = ${id}`
  return row
}

/** True. Tells the trigger on deletions that the statement counts the revision itself. */
export const counting = (sql: Statements) => sql`set_config('todo_api.counts', 'true', true) <> ''`

/** True where the row's version is one of these, or none are given. */
const isExpected = (sql: Sql, versions: number[] | undefined) => sql`
  coalesce(version = any(${versions ? `{${versions.join()}}` : null}::bigint[]), true)`

/**
 * Members that were left out stay as they are, and a change that changes nothing writes nothing.
 * The row is locked first, so that what is compared and what is returned is its latest version.
 */
export const updateTodo = async (
  sql: Sql,
  ownerId: number,
  id: number,
  changes: TodoChanges,
  versions: number[] | undefined,
) => {
  const [row] = await changing(
    sql,
    ownerId,
    (tag, patience) => tag<(Versioned & { revision: number | null; is_expected: boolean })[]>`
      with before as (
        select id, title, description, is_completed, created_at, updated_at, version,
          ${isExpected(sql, versions)} as is_expected
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
          and ${patience}
        for update
      ), wanted as (
        select title, description, is_completed
        from (
          select
            coalesce(${changes.title ?? null}, title) as title,
            case when ${changes.description === undefined} then description
              else ${changes.description ?? null} end as description,
            coalesce(${changes.is_completed ?? null}, is_completed) as is_completed,
            title as old_title,
            description as old_description,
            is_completed as was_completed
          from before
          where is_expected
        ) as compared
        where (title, description, is_completed)
          is distinct from (old_title, old_description, was_completed)
      ), revised as (
        ${nextRevision(sql, ownerId, sql`from wanted`)}
      ), after as (
        update todos
        set title = wanted.title,
          description = wanted.description,
          is_completed = wanted.is_completed,
          -- Counted up alone it would be given out anew by a database that was brought back to an
          -- older state, for other content than the one for which a client still holds it.
          version = greatest(todos.version + 1, floor(extract(epoch from now()) * 1000)::bigint),
          revision = revised.revision,
          -- Moves by what a client can see, even when two changes share a millisecond. A
          -- distributed Postgres refuses what depends on the time zone.
          updated_at = greatest(
            now(),
            (todos.updated_at at time zone 'UTC' + interval '1 millisecond') at time zone 'UTC'
          )
        from wanted
        cross join revised
        where todos.owner_id = ${ownerId}
          and todos.id = ${id}
        returning todos.id, todos.title, todos.description, todos.is_completed, todos.created_at,
          todos.updated_at, todos.version, todos.revision
      )
      select id, title, description, is_completed, created_at, updated_at, version, revision,
        true as is_expected
      from after
      union all
      select id, title, description, is_completed, created_at, updated_at, version, null,
        is_expected
      from before
      where not exists (select from after)`,
  )
  return row
}

/** Undefined where there is no such todo. */
export const deleteTodo = async (
  sql: Sql,
  ownerId: number,
  id: number,
  versions: number[] | undefined,
) => {
  const [row] = await changing(
    sql,
    ownerId,
    (tag, patience) => tag<{ revision: number | null; is_expected: boolean }[]>`
      with before as (
        select ${isExpected(sql, versions)} as is_expected
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
          and ${patience}
        for update
      ), revised as (
        ${nextRevision(sql, ownerId, sql`from before where is_expected and ${counting(sql)}`)}
      ), gone as (
        delete from todos
        using revised
        where todos.owner_id = ${ownerId}
          and todos.id = ${id}
      ), remembered as (
        insert into deleted_todos (owner_id, id, revision)
        select ${ownerId}::bigint, ${id}::bigint, revision
        from revised
      )
      select is_expected, (select revision from revised) as revision
      from before`,
  )
  return row
}

/** Rows: some 100 ms of work, far from the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

/** Nothing remembers them: who has a copy is told to begin again. */
const deleteSomeOf = async (sql: Sql, ownerId: number, limit: number) => {
  const [row] = await sql<[{ count: number }]>`
    with chosen as (
      select id
      from todos
      where owner_id = ${ownerId}
        and ${counting(sql)}
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
