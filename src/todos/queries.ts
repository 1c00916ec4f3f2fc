/** All SQL over todos but lists of them. Every statement of a request names the owner. */
import type postgres from "postgres"
import type { Sql, Statements } from "../database/connection.ts"
import type { NewTodo, Todo, TodoChanges } from "./model.ts"

/** A todo with the version that its entity tag is made of. */
export type Versioned = Todo & { version: number }

/** For how long a key is remembered. */
const keyLifetime = (sql: Sql) => sql`interval '24 hours'`

export const insertTodo = async (sql: Sql, ownerId: number, todo: NewTodo) => {
  const [row] = await sql.brief<[Versioned]>`
    insert into todos (owner_id, title, description, is_completed)
    values (${ownerId}, ${todo.title}, ${todo.description ?? null}, ${todo.is_completed ?? false})
    returning id, title, description, is_completed, created_at, updated_at, version`
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
) => {
  const [row] = await sql.brief<Versioned[]>`
    with claimed as (
      insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
      values (${ownerId}, ${key}, ${bodyHash}, nextval('todo_ids'))
      on conflict on constraint idempotency_keys_pkey do update
      set body_hash = excluded.body_hash,
        todo_id = excluded.todo_id,
        created_at = excluded.created_at
      where known.created_at <= now() - ${keyLifetime(sql)}
      returning todo_id
    )
    insert into todos (owner_id, id, title, description, is_completed)
    select
      ${ownerId}::bigint,
      todo_id,
      ${todo.title},
      ${todo.description ?? null},
      ${todo.is_completed ?? false}::boolean
    from claimed
    returning id, title, description, is_completed, created_at, updated_at, version`
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

/** Of all owners. Returns how many of at most `limit`; rows in use are left for the next time. */
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
        for update skip locked
      )`
  ).count

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql.brief<Versioned[]>`
    select id, title, description, is_completed, created_at, updated_at, version
    from todos
    where owner_id = ${ownerId}
      and id = ${id}`
  return row
}

/** True where the row's version is one of these, or none are given. */
const isExpected = (sql: Sql, versions: number[] | undefined) => sql`
  coalesce(version = any(${versions ? `{${versions.join()}}` : null}::bigint[]), true)`

/**
 * A statement that locks a todo passes over one that is locked already, so that it stays brief.
 * Where it found none, another one that does wait, on a connection of its own, tells whether there
 * is none.
 */
const locking = async <Row>(
  sql: Sql,
  write: (sql: Statements, lock: postgres.PendingQuery<postgres.Row[]>) => Promise<Row[]>,
) => {
  const [row] = await write(sql.brief, sql`for update skip locked`)
  return row ?? (await write(sql, sql`for update`))[0]
}

/**
 * Members that were left out stay as they are, and a change that changes nothing writes nothing.
 * The row is locked first, so that what is compared and what is returned is its latest version.
 */
export const updateTodo = (
  sql: Sql,
  ownerId: number,
  id: number,
  changes: TodoChanges,
  versions: number[] | undefined,
) =>
  locking(
    sql,
    (tag, lock) => tag<(Versioned & { is_expected: boolean })[]>`
      with before as (
        select id, title, description, is_completed, created_at, updated_at, version,
          ${isExpected(sql, versions)} as is_expected
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
        ${lock}
      ), wanted as (
        select
          coalesce(${changes.title ?? null}, title) as title,
          case when ${changes.description === undefined} then description
            else ${changes.description ?? null} end as description,
          coalesce(${changes.is_completed ?? null}, is_completed) as is_completed
        from before
        where is_expected
      ), after as (
        update todos
        set title = wanted.title,
          description = wanted.description,
          is_completed = wanted.is_completed,
          version = todos.version + 1,
          -- Moves by what a client can see, even when two changes share a millisecond.
          updated_at = greatest(now(), todos.updated_at + interval '1 millisecond')
        from wanted
        where todos.owner_id = ${ownerId}
          and todos.id = ${id}
          and (todos.title, todos.description, todos.is_completed)
            is distinct from (wanted.title, wanted.description, wanted.is_completed)
        returning todos.id, todos.title, todos.description, todos.is_completed, todos.created_at,
          todos.updated_at, todos.version
      )
      select id, title, description, is_completed, created_at, updated_at, version,
        true as is_expected
      from after
      union all
      select id, title, description, is_completed, created_at, updated_at, version, is_expected
      from before
      where not exists (select from after)`,
  )

/** Undefined where there is no such todo. */
export const deleteTodo = (sql: Sql, ownerId: number, id: number, versions: number[] | undefined) =>
  locking(
    sql,
    (tag, lock) => tag<{ is_expected: boolean }[]>`
      with before as (
        select ${isExpected(sql, versions)} as is_expected
        from todos
        where owner_id = ${ownerId}
          and id = ${id}
        ${lock}
      ), gone as (
        delete from todos
        using before
        where todos.owner_id = ${ownerId}
          and todos.id = ${id}
          and before.is_expected
      )
      select is_expected
      from before`,
  )

/** Rows: some 100 ms of work, far from the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

const deleteSomeOf = async (sql: Sql, ownerId: number, limit: number) =>
  (
    await sql`
      delete from todos
      where owner_id = ${ownerId}
        and id in (
          select id
          from todos
          where owner_id = ${ownerId}
          order by id
          limit ${limit}
        )`
  ).count

/** All of a user's, in batches: one statement for all of them might run into its limit. */
export const deleteTodosOf = async (sql: Sql, ownerId: number) => {
  while ((await deleteSomeOf(sql, ownerId, DELETED_AT_ONCE)) > 0);
}
