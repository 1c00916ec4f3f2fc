/** All SQL over single todos. Every statement names the owner. */
import { PREPARED, type Sql } from "../database/sql.ts"
import type { NewTodo, Todo, TodoChanges } from "./members.ts"
import * as members from "./members.ts"
import { LIMITED_WAIT, nextRevision, type Turn, writing } from "./revisions.ts"

/** A todo with the version from which its entity tag is made. */
export type Versioned = Todo & { version: number }
/** A todo that was written, with the owner's revision for that change. */
export type Written = Versioned & { revision: number }

/** What a statement gives of a row, as `Versioned`. */
export const shown = (row: string) =>
  `${row}.id, ${members.columns(row)}, ${row}.created_at, ${row}.updated_at, ${row}.version`

const INSERT = `
  with revised as (
    ${nextRevision(`where ${LIMITED_WAIT}`, { added: "1", max: "$3" })}
  )
  insert into todos (owner_id, revision, ${members.columns()})
  select $1::bigint, revision, ${members.placeholders(4)}
  from revised
  returning ${shown("todos")}, revision`

export const insertTodo = async (turn: Turn, body: NewTodo, max: number | null) => {
  const values = [max, ...members.createdValues(body)]
  const [row] = await writing<Written>(turn, INSERT, values)
  if (!row) throw new Error("A todo was not inserted")
  return row
}

const FIND = `
  select ${shown("todos")}
  from todos
  where owner_id = $1
    and id = $2`

export const findTodo = async (sql: Sql, ownerId: number, id: number) => {
  const [row] = await sql.pipelined.unsafe<Versioned[]>(FIND, [ownerId, id], PREPARED)
  return row
}

/** For `$4`, the versions that are expected. Null if any is. */
const arrayOf = (versions: number[] | undefined) => (versions ? `{${versions.join()}}` : null)

/** Locked first, so that the latest version is compared and returned. */
const BEFORE = `
  select ${shown("todos")}, coalesce(version = any($4::bigint[]), true) as is_expected
  from todos
  where owner_id = $1
    and id = $3
    and ${LIMITED_WAIT}
  for update`

const UPDATE = `
  with before as (
    ${BEFORE}
  ), wanted as (
    select wanted.*
    from before
    cross join lateral (select ${members.merged(5, "before")}) as wanted
    where is_expected
      and (${members.columns("wanted")}) is distinct from (${members.columns("before")})
  ), revised as (
    ${nextRevision("from wanted")}
  ), after as (
    update todos
    set ${members.assignments("wanted")},
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
    returning ${shown("todos")}, todos.revision
  )
  select ${shown("after")}, revision, true as is_expected
  from after
  union all
  select ${shown("before")}, null, is_expected
  from before
  where not exists (select from after)`

/** Members that are left out stay as they are. If nothing changes, nothing is written. */
export const updateTodo = async (
  turn: Turn,
  id: number,
  changes: TodoChanges,
  versions: number[] | undefined,
) => {
  const [row] = await writing<Versioned & { revision: number | null; is_expected: boolean }>(
    turn,
    UPDATE,
    [id, arrayOf(versions), ...members.mergedValues(changes)],
  )
  return row
}

const DELETE = `
  with before as (
    ${BEFORE}
  ), revised as (
    ${nextRevision("from before where is_expected", { added: "-1" })}
  ), gone as (
    delete from todos
    using revised
    where todos.owner_id = $1
      and todos.id = $3
  ), remembered as (
    insert into deleted_todos (owner_id, id, revision, ${members.columns()}, created_at, updated_at)
    select $1::bigint, $3::bigint, revision, ${members.columns("before")}, created_at, updated_at
    from revised
    left join before on $5::boolean
  )
  select version, is_expected, (select revision from revised) as revision
  from before`

/** Undefined if there is no such todo. Its content is kept if `canBeRestored`. */
export const deleteTodo = async (
  turn: Turn,
  id: number,
  versions: number[] | undefined,
  canBeRestored: boolean,
) => {
  type Row = { version: number; revision: number | null; is_expected: boolean }
  const [row] = await writing<Row>(turn, DELETE, [id, arrayOf(versions), canBeRestored])
  return row
}
