/** All SQL over batches. Every statement names the owner. */
import { PREPARED, type Statements } from "../../database/sql.ts"
import { KEY_LIFETIME, type KeyUse } from "../idempotency.ts"
import { assignments, type Content, columns, record } from "../members.ts"
import { shown, type Versioned } from "../queries.ts"
import { nextRevision } from "../revisions.ts"

/** `now` is when the transaction began. */
export type LockedTodo = Versioned & { now: string }

/** Locks by id, so that batches do not deadlock. */
export const lockTodos = (sql: Statements, ownerId: number, ids: number[]) => sql<LockedTodo[]>`
  select ${sql.unsafe(shown("todos"))}, now() as now
  from todos
  where owner_id = ${ownerId}
    and id = any(${`{${ids.join()}}`}::bigint[])
  order by id
  for update`

const LOCK_DELETED = `
  select id, ${columns()}, created_at, updated_at,
    -- No earlier version was higher: both move with every change.
    floor(extract(epoch from updated_at) * 1000)::bigint as version,
    now() as now
  from deleted_todos
  where owner_id = $1
    and id = any($2::bigint[])
    and created_at is not null
    and deleted_at > now() - make_interval(days => $3)
  order by id
  for update`

/** Those of the deleted todos that can be restored. */
export const lockDeleted = (sql: Statements, ownerId: number, ids: number[], days: number) =>
  ids.length === 0
    ? []
    : sql.unsafe<LockedTodo[]>(LOCK_DELETED, [ownerId, `{${ids.join()}}`, days], PREPARED)

/** A create without a key claims nothing: it only gets the id for its todo. */
type Claim = { index: number; key?: string; body_hash?: string; todo_id?: number }

const CLAIM = `
  with drawn as materialized (
    select index, key, body_hash, coalesce(todo_id, nextval('todo_ids')) as todo_id
    from jsonb_to_recordset($2::jsonb) as claim (
      index integer, key text, body_hash text, todo_id bigint
    )
  ), claimed as (
    insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
    select $1::bigint, key, decode(body_hash, 'hex'), todo_id
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
  select drawn.index, drawn.todo_id, claimed.key
  from drawn
  left join claimed on claimed.key = drawn.key`

/**
 * Draws the ids of what is created, in the order of the operations, and claims the keys that are free.
 * Locks by key, so that batches do not deadlock. Returns the keys that it has claimed.
 */
export const claimKeys = (sql: Statements, ownerId: number, claims: Claim[]) =>
  sql.unsafe<{ index: number; todo_id: number; key: string | null }[]>(
    CLAIM,
    [ownerId, sql.json(claims)],
    PREPARED,
  )

/** Releases the keys of operations that were refused after all. */
export const releaseKeys = (sql: Statements, ownerId: number, keys: string[]) => sql`
  delete from idempotency_keys
  where owner_id = ${ownerId}
    and key in ${sql(keys)}`

export const findKeyUses = (sql: Statements, ownerId: number, keys: string[]) => sql<
  (KeyUse & { key: string })[]
>`
  select key, body_hash, todo_id, created_at
  from idempotency_keys
  where owner_id = ${ownerId}
    and key in ${sql(keys)}`

/** `index` is that of the operation, `id` the one that its key was claimed for. */
type Creation = Content & { index: number; id: number | null }
export type Writes = {
  creations: Creation[]
  /** The todos as they will be. The rows are locked, so that their next versions are known. */
  updates: Versioned[]
  restorations: Versioned[]
  deletions: number[]
  /** The deleted todos that are none any more, or are deleted anew. */
  reused: number[]
  /** The deleted todos, with their content if they can be restored. */
  tombstones: (Versioned | { id: number })[]
}

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

/** A created todo. If none was created, a single row contains only the revision. */
type WrittenRow = Versioned & { index: number | null; revision: number }

const VERSIONED = `id bigint, version bigint, updated_at timestamptz, ${record}`

const APPLY = `
  with revised as (
    ${nextRevision("", { added: "$2::bigint" })}
  ), drawn as materialized (
    select index, coalesce(id, nextval('todo_ids')) as id, ${columns()}
    from jsonb_to_recordset($3::jsonb) as creation (index integer, id bigint, ${record})
  ), created as (
    insert into todos (owner_id, id, revision, ${columns()})
    select $1::bigint, id, revision, ${columns()}
    from drawn
    cross join revised
    returning ${shown("todos")}
  ), updated as (
    update todos
    set ${assignments("wanted")},
      version = wanted.version,
      revision = revised.revision,
      updated_at = wanted.updated_at
    from jsonb_to_recordset($4::jsonb) as wanted (${VERSIONED})
    cross join revised
    where todos.owner_id = $1
      and todos.id = wanted.id
  ), reused as (
    delete from deleted_todos
    using revised
    where deleted_todos.owner_id = $1
      and deleted_todos.id = any($6::bigint[])
      and deleted_todos.created_at is not null
    returning deleted_todos.id, deleted_todos.created_at
  ), restored as (
    insert into todos (owner_id, id, revision, ${columns()}, created_at, updated_at, version)
    select $1::bigint, id, revision, ${columns("wanted")}, reused.created_at, wanted.updated_at,
      wanted.version
    from jsonb_to_recordset($5::jsonb) as wanted (${VERSIONED})
    join reused using (id)
    cross join revised
  ), gone as (
    delete from todos
    using revised
    where todos.owner_id = $1
      and todos.id = any($7::bigint[])
    returning todos.id, todos.created_at
  ), remembered as (
    insert into deleted_todos (owner_id, id, revision, ${columns()}, created_at, updated_at)
    select $1::bigint, id, revision, ${columns("wanted")},
      case when wanted.updated_at is not null then deleted.created_at end, wanted.updated_at
    from jsonb_to_recordset($8::jsonb) as wanted (${VERSIONED})
    join (select * from gone union all select * from reused) as deleted using (id)
    cross join revised
  )
  select drawn.index, ${shown("created")}, revised.revision
  from revised
  left join created on true
  left join drawn on drawn.id = created.id`

/**
 * Writes everything of a batch, with one revision. The rows to update and delete must be locked already,
 * because the revision is the last lock.
 */
export const applyWrites = (sql: Statements, ownerId: number, writes: Writes) => {
  const { creations, updates, restorations, deletions, reused, tombstones } = writes
  return sql.unsafe<WrittenRow[]>(
    APPLY,
    [
      ownerId,
      creations.length + restorations.length - deletions.length,
      sql.json(creations),
      sql.json(updates),
      sql.json(restorations),
      `{${reused.join()}}`,
      `{${deletions.join()}}`,
      sql.json(tombstones),
    ],
    PREPARED,
  )
}
