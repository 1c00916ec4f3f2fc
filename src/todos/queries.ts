/** All SQL over todos but lists of them. Every statement of a request names the owner. */
import type { Sql, Statements, Value } from "../database/connection.ts"
import { isLockTimeout } from "../database/errors.ts"
import type { NewTodo, Todo, TodoChanges } from "./model.ts"

/** A todo with the version that its entity tag is made of. */
export type Versioned = Todo & { version: number }
/** As it was written, with the owner's revision that came of it. */
export type Written = Versioned & { revision: number }

/** For how long a key is remembered. */
export const KEY_LIFETIME = "interval '30 days'"

/**
 * A change waits until whoever changes the same todo, or another one of the owner, has committed.
 * In its text `$1` is the owner, and `$2` for how long it waits. That is brief, unless a transaction
 * goes on for longer: then the statement is given up, and made again on a connection of its own,
 * where nobody waits behind it.
 */
const changing = async <Row extends object>(
  sql: Sql,
  ownerId: number,
  text: string,
  values: Value[],
): Promise<Row[]> => {
  try {
    return await sql.inLane<Row>(ownerId, text, [ownerId, "50ms", ...values], true)
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    return sql.inLane<Row>(ownerId, text, [ownerId, "0", ...values], false)
  }
}

/** A condition that is true. Evaluated before a statement locks a row, it limits how long it waits. */
const LIMITED_WAIT = "set_config('lock_timeout', $2, true) <> ''"

type Counting = {
  /** What stands for the revision beyond which no todo may be added: null where there is none. */
  room?: string
  added?: string
  steps?: string
}

const counted = (from: string, { room, added = "1", steps = "1" }: Counting) =>
  room === undefined
    ? `${from} + ${steps}`
    : `case when coalesce(${from} + ${added} <= ${room}::bigint, true) then ${from} + ${steps} end`

/**
 * Counts the owner's revision up where `condition` holds, and locks it until the commit. It is
 * the last lock that a change asks for, so that no two changes wait for each other. Where there is
 * no room it breaks a constraint: quota/quota.ts relies on no more than one new todo a step.
 */
export const nextRevision = (condition: string, counting: Counting = {}) => `
  insert into revisions as known (owner_id, revision)
  select $1::bigint, ${counted("0::bigint", counting)}
  ${condition}
  on conflict on constraint revisions_pkey do update
  set revision = ${counted("known.revision", counting)}
  returning revision`

const INSERT = `
  with revised as (
    ${nextRevision(`where ${LIMITED_WAIT}`, { room: "$3" })}
  )
  insert into todos (owner_id, title, description, is_completed, revision)
  select $1::bigint, $4, $5, $6::boolean, revision
  from revised
  returning id, title, description, is_completed, created_at, updated_at, version, revision`

/** `room`: the revision beyond which none may be added. */
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

const INSERT_ONCE = `
  with claimed as (
    insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
    select $1::bigint, $7, $8::bytea, nextval('todo_ids')
    where ${LIMITED_WAIT}
    on conflict on constraint idempotency_keys_pkey do update
    set body_hash = excluded.body_hash,
      todo_id = excluded.todo_id,
      created_at = excluded.created_at
    where excluded.created_at - known.created_at >= ${KEY_LIFETIME}
    returning todo_id
  ), revised as (
    ${nextRevision("from claimed", { room: "$3" })}
  )
  insert into todos (owner_id, id, title, description, is_completed, revision)
  select $1::bigint, todo_id, $4, $5, $6::boolean, revision
  from claimed
  cross join revised
  returning id, title, description, is_completed, created_at, updated_at, version, revision`

/**
 * Undefined where the key is in use. Whoever uses it at the same time waits for
 * this statement to commit. An expired key that is still there counts as absent.
 */
export const insertTodoOnce = async (
  sql: Sql,
  ownerId: number,
  key: string,
  bodyHash: Uint8Array,
  { title, description = null, is_completed = false }: NewTodo,
  room: number | null,
) => {
  const values = [room, title, description, is_completed, key, bodyHash]
  const [row] = await changing<Written>(sql, ownerId, INSERT_ONCE, values)
  return row
}

export type KeyUse = { body_hash: Uint8Array; todo_id: number; created_at: string }

export const findKeyUse = async (sql: Sql, ownerId: number, key: string) => {
  const [row] = await sql<KeyUse[]>`
    select body_hash, todo_id, created_at
    from idempotency_keys
    where owner_id = ${ownerId}
      and key = ${key}
      and created_at > now() - ${sql.unsafe(KEY_LIFETIME)}`
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
        where created_at <= now() - ${sql.unsafe(KEY_LIFETIME)}
        order by created_at
        limit ${limit}
      )
        and created_at <= now() - ${sql.unsafe(KEY_LIFETIME)}`
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
export const COUNTING = "set_config('todo_api.counts', 'true', true) <> ''"

/** True where the row's version is one of those of `$4`, or none are given. */
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
 * Members that were left out stay as they are, and a change that changes nothing writes nothing.
 * The row is locked first, so that what is compared and what is returned is its latest version.
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

/** Undefined where there is no such todo. */
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
