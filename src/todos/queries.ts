/** All SQL over single todos. Every statement names the owner. */
import type { Sql } from "../database/connect.ts"
import type { NewTodo, Todo, TodoChanges } from "./members.ts"
import { COUNTING, changing, LIMITED_WAIT, nextRevision } from "./revisions.ts"

/** A todo with the version from which its entity tag is made. */
export type Versioned = Todo & { version: number }
/** A todo that was written, with the owner's revision for that change. */
export type Written = Versioned & { revision: number }

const INSERT = `
  with revised as (
    ${nextRevision(`where ${LIMITED_WAIT}`, { room: "$3" })}
  )
  insert into todos (owner_id, title, description, is_completed, revision)
  select $1::bigint, $4, $5, $6::boolean, revision
  from revised
  returning id, title, description, is_completed, created_at, updated_at, version, revision`

/** `room` is the revision beyond which none may be added. */
export const insertTodo = async (
  sql: Sql,
  ownerId: number,
  { title, description = null, is_completed = false }: NewTodo,
  room: number | null,
) => {
  const values = [room, title, description, is_completed]
  const [row] = await changing<Written>(sql, ownerId, INSERT, values)
  if (!row) throw new Error("A todo was not inserted")
  return row
}

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql.brief<Versioned[]>`
    select id, title, description, is_completed, created_at, updated_at, version
    from todos
    where owner_id = ${ownerId}
      and id = ${id}`
  return row
}

/** Whether the row's version is one of `$4`. True if `$4` is null. */
const IS_EXPECTED = "coalesce(version = any($4::bigint[]), true)"

const arrayOf = (versions: number[] | undefined) => (versions ? `{${versions.join()}}` : null)

const UPDATE = `
  with before as (
    select id, title, description, is_completed, created_at, updated_at, version,
      ${IS_EXPECTED} as is_expected
    from todos
    where owner_id = $1
      and id = $3
      and ${LIMITED_WAIT}
    for update
  ), wanted as (
    select title, description, is_completed
    from (
      select
        coalesce($5, title) as title,
        case when $6::boolean then $7 else description end as description,
        coalesce($8::boolean, is_completed) as is_completed,
        title as old_title,
        description as old_description,
        is_completed as was_completed
      from before
      where is_expected
    ) as compared
    where (title, description, is_completed)
      is distinct from (old_title, old_description, was_completed)
  ), revised as (
    ${nextRevision("from wanted")}
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
    where todos.owner_id = $1
      and todos.id = $3
    returning todos.id, todos.title, todos.description, todos.is_completed, todos.created_at,
      todos.updated_at, todos.version, todos.revision
  )
  select id, title, description, is_completed, created_at, updated_at, version, revision,
    true as is_expected
  from after
  union all
  select id, title, description, is_completed, created_at, updated_at, version, null, is_expected
  from before
  where not exists (select from after)`

/**
 * Members that are left out stay as they are. If nothing changes, nothing is written. The row is locked
 * first, so that its latest version is compared and returned.
 */
export const updateTodo = async (
  sql: Sql,
  ownerId: number,
  id: number,
  { title, description, is_completed }: TodoChanges,
  versions: number[] | undefined,
) => {
  const [row] = await changing<Versioned & { revision: number | null; is_expected: boolean }>(
    sql,
    ownerId,
    UPDATE,
    [
      id,
      arrayOf(versions),
      title ?? null,
      description !== undefined,
      description ?? null,
      is_completed ?? null,
    ],
  )
  return row
}

const DELETE = `
  with before as (
    select ${IS_EXPECTED} as is_expected
    from todos
    where owner_id = $1
      and id = $3
      and ${LIMITED_WAIT}
    for update
  ), revised as (
    ${nextRevision(`from before where is_expected and ${COUNTING}`)}
  ), gone as (
    delete from todos
    using revised
    where todos.owner_id = $1
      and todos.id = $3
  ), remembered as (
    insert into deleted_todos (owner_id, id, revision)
    select $1::bigint, $3::bigint, revision
    from revised
  )
  select is_expected, (select revision from revised) as revision
  from before`

/** Undefined if there is no such todo. */
export const deleteTodo = async (
  sql: Sql,
  ownerId: number,
  id: number,
  versions: number[] | undefined,
) => {
  const [row] = await changing<{ revision: number | null; is_expected: boolean }>(
    sql,
    ownerId,
    DELETE,
    [id, arrayOf(versions)],
  )
  return row
}
