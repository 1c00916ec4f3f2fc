/** All SQL over batches. Every statement names the owner. */
import { PREPARED, type Statements } from "../../database/sql.ts"
import { KEY_LIFETIME } from "../idempotency.ts"
import { assignments, columns, instantText, record } from "../members.ts"
import { shown, type Versioned } from "../queries.ts"
import { nextRevision } from "../revisions.ts"

/** `created` is `created_at` in full, `now` is when the transaction began. */
type Instants = { created: string; now: string }
const INSTANTS = `${instantText("created_at")} as created, now() as now`

export type LockedTodo = Versioned & Instants & { was_deleted: boolean }

const LOCK = `
  with deleted as (
    select id, ${columns()}, created_at, updated_at,
      -- No earlier version was higher: both move with every change.
      floor(extract(epoch from updated_at) * 1000)::bigint as version, true as was_deleted
    from deleted_todos
    where owner_id = $1
      and id = any($3::bigint[])
      and created_at is not null
      and deleted_at > now() - make_interval(days => $4)
    order by id
    for update
  ), present as (
    select ${shown("todos")}, false as was_deleted
    from todos
    where owner_id = $1
      and id = any($2::bigint[])
    order by id
    for update
  )
  select *, ${INSTANTS}
  from (select * from deleted union all select * from present) as found`

const list = (values: Iterable<number>) => `{${[...values].join()}}`

/** Locks todos, and deleted ones that can be restored: by id, so that batches do not deadlock. */
export const lockTodos = (
  sql: Statements,
  ownerId: number,
  ids: Iterable<number>,
  restored: Iterable<number>,
  days: number,
) => sql.unsafe<LockedTodo[]>(LOCK, [ownerId, list(ids), list(restored), days], PREPARED)

/** A create without a key claims nothing: it only gets the id for its todo. */
export type Claim = { index: number; key?: string; body_hash?: string; todo_id?: number | null }
/** The key is null if there is none, or it is in use. As JSON: a hundred rows would take longer to read. */
type Claimed = Instants & { drawn: [index: number, todo_id: number, key: string | null][] }

const CLAIM = `
  with drawn as materialized (
    select index, key, body_hash, coalesce(todo_id, nextval('todo_ids')) as todo_id,
      now() as created_at
    from jsonb_to_recordset($2::jsonb) as claim (
      index integer, key text, body_hash text, todo_id bigint
    )
  ), claimed as (
    insert into idempotency_keys as known (owner_id, key, body_hash, todo_id, created_at)
    select $1::bigint, key, decode(body_hash, 'hex'), todo_id, created_at
    from drawn
    where key is not null
    order by key collate "C"
    on conflict on constraint idempotency_keys_pkey do update
    set body_hash = excluded.body_hash,
      todo_id = excluded.todo_id,
      created_at = excluded.created_at
    where excluded.created_at - known.created_at >= ${KEY_LIFETIME}
    returning key
  )
  select ${instantText("min(created_at)")} as created, min(created_at) as now,
    json_agg(json_build_array(index, todo_id, claimed.key)) as drawn
  from drawn
  left join claimed using (key)`

/**
 * Draws the ids of what is created, in the order of the operations, and claims the keys that are free.
 * Locks by key, so that batches do not deadlock.
 */
export const claimKeys = async (sql: Statements, ownerId: number, claims: Claim[]) => {
  const values = [ownerId, sql.json(claims)]
  const [{ drawn, ...instants }] = await sql.unsafe<[Claimed]>(CLAIM, values, PREPARED)
  return drawn.map(([index, todo_id, key]) => ({ ...instants, index, todo_id, key }))
}

/** Releases the keys of operations that were refused after all. */
export const releaseKeys = (sql: Statements, ownerId: number, keys: string[]) => sql`
  delete from idempotency_keys
  where owner_id = ${ownerId}
    and key in ${sql(keys)}`

/** Locks the owner's count of todos, so that nobody else creates any: the last lock. */
export const lockCount = async (sql: Statements, ownerId: number) => {
  const [row] = await sql<[{ todos: number }]>`
    insert into revisions as known (owner_id, revision)
    values (${ownerId}, 0)
    on conflict on constraint revisions_pkey do update
    set revision = known.revision
    returning todos`
  return row.todos
}

/** The todos as they will be, with their `created_at` in full. */
export type Writes = {
  /** Those that are created or restored. */
  inserted: Versioned[]
  updated: Versioned[]
  removed: number[]
  /** The deleted todos that are none any more, or are deleted anew. */
  reused: number[]
  /** The deleted todos, with their content if they can be restored. */
  tombstones: (Versioned | { id: number })[]
}

const WANTED = `as wanted (
      id bigint, ${record}, created_at timestamptz, updated_at timestamptz, version bigint
    )`

const APPLY = `
  with revised as (
    ${nextRevision("", { added: "$2::bigint" })}
  ), inserted as (
    insert into todos (owner_id, revision, id, ${columns()}, created_at, updated_at, version)
    select $1::bigint, revision, wanted.*
    from jsonb_to_recordset($3::jsonb) ${WANTED}
    cross join revised
  ), updated as (
    update todos
    set ${assignments("wanted")},
      version = wanted.version,
      revision = revised.revision,
      updated_at = wanted.updated_at
    from jsonb_to_recordset($4::jsonb) ${WANTED}
    cross join revised
    where todos.owner_id = $1
      and todos.id = wanted.id
  ), removed as (
    delete from todos
    where owner_id = $1
      and id = any($5::bigint[])
  ), reused as (
    delete from deleted_todos
    where owner_id = $1
      and id = any($6::bigint[])
      and created_at is not null
  ), remembered as (
    insert into deleted_todos (owner_id, revision, id, ${columns()}, created_at, updated_at)
    select $1::bigint, revision, id, ${columns("wanted")}, created_at, updated_at
    from jsonb_to_recordset($7::jsonb) ${WANTED}
    cross join revised
  )
  select revision
  from revised`

/**
 * Writes everything of a batch, with one revision. The rows to update and delete must be locked already,
 * because the revision is the last lock.
 */
export const applyWrites = async (sql: Statements, ownerId: number, writes: Writes) => {
  const { inserted, updated, removed, reused, tombstones } = writes
  const [row] = await sql.unsafe<[{ revision: number }]>(
    APPLY,
    [
      ownerId,
      inserted.length - removed.length,
      sql.json(inserted),
      sql.json(updated),
      list(removed),
      list(reused),
      sql.json(tombstones),
    ],
    PREPARED,
  )
  return row.revision
}
