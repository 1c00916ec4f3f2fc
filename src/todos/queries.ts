/** All SQL over todos. Every statement names the owner. */
import type { Sql } from "../database/connection.ts"
import type { Place } from "./cursor.ts"
import type { Selection } from "./list-query.ts"
import type { NewTodo, Todo, TodoChanges } from "./model.ts"

/** A todo with the version that its entity tag is made of. */
export type Versioned = Todo & { version: number }

export const insertTodo = async (sql: Sql, ownerId: number, todo: NewTodo) => {
  const [row] = await sql<[Versioned]>`
    insert into todos (owner_id, title, description, is_completed)
    values (${ownerId}, ${todo.title}, ${todo.description ?? null}, ${todo.is_completed ?? false})
    returning id, title, description, is_completed, created_at, updated_at, version`
  return row
}

/**
 * Undefined where the key was used within 24 hours. Whoever uses it at the same time waits for
 * this statement to commit. An expired key that is still there counts as absent.
 */
export const insertTodoOnce = async (
  sql: Sql,
  ownerId: number,
  key: string,
  bodyHash: Uint8Array,
  todo: NewTodo,
) => {
  const [row] = await sql<Versioned[]>`
    with claimed as (
      insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
      values (${ownerId}, ${key}, ${bodyHash}, nextval('todo_ids'))
      on conflict on constraint idempotency_keys_pkey do update
      set body_hash = excluded.body_hash,
        todo_id = excluded.todo_id,
        created_at = excluded.created_at
      where known.created_at <= now() - interval '24 hours'
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
      and created_at > now() - interval '24 hours'`
  return row
}

/** Of all owners, so many at most. Returns how many; rows in use are left for the next time. */
export const deleteExpiredKeys = async (sql: Sql, limit: number) =>
  (
    await sql`
      delete from idempotency_keys
      where (owner_id, key) in (
        select owner_id, key
        from idempotency_keys
        where created_at <= now() - interval '24 hours'
        order by created_at
        limit ${limit}
        for update skip locked
      )`
  ).count

/** As the indexes say it, so that they serve the order. */
const sortKeys = {
  created_at: (sql: Sql) => ({ column: sql`created_at`, type: sql`timestamptz` }),
  updated_at: (sql: Sql) => ({ column: sql`updated_at`, type: sql`timestamptz` }),
  title: (sql: Sql) => ({ column: sql`title collate "C"`, type: sql`text` }),
}

const order = (sql: Sql, sort: Selection["sort"]) => ({
  ...sortKeys[sort.replace("-", "") as keyof typeof sortKeys](sql),
  ...(sort.startsWith("-")
    ? { direction: sql`desc`, isAfter: sql`<` }
    : { direction: sql`asc`, isAfter: sql`>` }),
})

const matching = (sql: Sql, q: string | undefined) =>
  q === undefined
    ? sql``
    : sql`and strpos(
        search_text,
        (select upper(lower(${q}::text collate "und-x-icu")))
      ) > 0`

type Listed = Todo & { key: string }
export type Page = { todos: Todo[]; next: Place | undefined }

/** So many todos after a place, and the place of the last one if there are more. */
export const listTodos = async (
  sql: Sql,
  ownerId: number,
  { sort, isCompleted, q }: Selection,
  limit: number,
  after?: Place,
): Promise<Page> => {
  const { column, type, direction, isAfter } = order(sql, sort)
  const range = (isCompleted: boolean) => sql`
    select id, title, description, is_completed, created_at, updated_at, ${column}::text as key
    from todos
    where owner_id = ${ownerId}
      and is_completed = ${isCompleted}
      ${after ? sql`and (${column}, id) ${isAfter} (${after.key}::${type}, ${after.id})` : sql``}
      ${matching(sql, q)}
    order by ${column} ${direction}, id ${direction}
    limit ${limit + 1}`
  const rows = await (isCompleted === undefined
    ? // Each range with a limit of its own, for only so does Postgres read no more of it.
      sql<Listed[]>`
        select id, title, description, is_completed, created_at, updated_at, key
        from ((${range(false)}) union all (${range(true)})) as ranges
        order by ${column} ${direction}, id ${direction}
        limit ${limit + 1}`
    : sql<Listed[]>`${range(isCompleted)}`)
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return {
    todos: rows
      .slice(0, limit)
      .map(({ id, title, description, is_completed, created_at, updated_at }) => ({
        id,
        title,
        description,
        is_completed,
        created_at,
        updated_at,
      })),
    next: last && { key: last.key, id: last.id },
  }
}

export const countTodos = async (sql: Sql, ownerId: number, { isCompleted, q }: Selection) => {
  const [row] = await sql<[{ count: number }]>`
    select count(*)
    from todos
    where owner_id = ${ownerId}
      ${isCompleted === undefined ? sql`` : sql`and is_completed = ${isCompleted}`}
      ${matching(sql, q)}`
  return row.count
}

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql<Versioned[]>`
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
  const [row] = await sql<(Versioned & { is_expected: boolean })[]>`
    with before as (
      select id, title, description, is_completed, created_at, updated_at, version,
        ${isExpected(sql, versions)} as is_expected
      from todos
      where owner_id = ${ownerId}
        and id = ${id}
      for update
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
    where not exists (select from after)`
  return row
}

/** Undefined where there is no such todo. */
export const deleteTodo = async (
  sql: Sql,
  ownerId: number,
  id: number,
  versions: number[] | undefined,
) => {
  const [row] = await sql<{ is_expected: boolean }[]>`
    with before as (
      select ${isExpected(sql, versions)} as is_expected
      from todos
      where owner_id = ${ownerId}
        and id = ${id}
      for update
    ), gone as (
      delete from todos
      using before
      where todos.owner_id = ${ownerId}
        and todos.id = ${id}
        and before.is_expected
    )
    select is_expected
    from before`
  return row
}

/** So many at most. Returns how many: all that a user has may take longer than a statement may. */
export const deleteTodosOf = async (sql: Sql, ownerId: number, limit: number) =>
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
