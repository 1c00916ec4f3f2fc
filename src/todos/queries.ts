/** All SQL over todos. Every statement names the owner. */
import type { Sql } from "../database/connection.ts"
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

export const listTodos = async (sql: Sql, ownerId: number): Promise<Todo[]> => {
  const rows = await sql<Todo[]>`
    select id, title, description, is_completed, created_at, updated_at
    from todos
    where owner_id = ${ownerId}
    order by created_at, id`
  // An array as such: Elysia answers with a subclass, such as this, but without our headers.
  return [...rows]
}

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql<Versioned[]>`
    select id, title, description, is_completed, created_at, updated_at, version
    from todos
    where owner_id = ${ownerId}
      and id = ${id}`
  return row
}

/**
 * Members that were left out stay as they are, and a change that changes nothing writes nothing.
 * The row is locked first, so that what is compared and what is returned is its latest version.
 */
export const updateTodo = async (sql: Sql, ownerId: number, id: number, changes: TodoChanges) => {
  const [row] = await sql<Versioned[]>`
    with before as (
      select *
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
      returning todos.*
    )
    select id, title, description, is_completed, created_at, updated_at, version
    from after
    union all
    select id, title, description, is_completed, created_at, updated_at, version
    from before
    where not exists (select from after)`
  return row
}

export const deleteTodo = async (sql: Sql, ownerId: number, id: number) =>
  (
    await sql`
      delete from todos
      where owner_id = ${ownerId}
        and id = ${id}`
  ).count === 1
