/** All SQL over batches. Every statement names the owner. */
import { PREPARED, type Statements } from "../../database/connect.ts"
import { KEY_LIFETIME, type KeyUse } from "../idempotency.ts"
import type { Todo } from "../members.ts"
import type { Versioned } from "../queries.ts"
import { COUNTING, nextRevision } from "../revisions.ts"

/** `now` is when the transaction began. */
export type LockedTodo = Versioned & { now: string }

/** Locks by id, so that batches do not deadlock. */
export const lockTodos = (sql: Statements, ownerId: number, ids: number[]) => sql<LockedTodo[]>`
  select id, title, description, is_completed, created_at, updated_at, version, now() as now
  from todos
  where owner_id = ${ownerId}
    and id = any(${`{${ids.join()}}`}::bigint[])
  order by id
  for update`

/** `todoId` is for updates. A create gets a new id. */
type KeyClaim = { key: string; bodyHash: Uint8Array; todoId: number | null }

/**
 * Claims the keys that are free. Returns them with the ids of their todos. Locks by key, so that batches
 * do not deadlock.
 */
export const claimKeys = (sql: Statements, ownerId: number, claims: KeyClaim[]) => sql<
  { key: string; todo_id: number }[]
>`
  insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
  select ${ownerId}::bigint, key, decode(body_hash, 'hex'),
    coalesce(todo_id, nextval('todo_ids'))
  from jsonb_to_recordset(${sql.json(
    claims.map(({ key, bodyHash, todoId }) => ({
      key,
      body_hash: Buffer.from(bodyHash).toString("hex"),
      todo_id: todoId,
    })),
  )}) as claim (key text, body_hash text, todo_id bigint)
  order by key collate "C"
  on conflict on constraint idempotency_keys_pkey do update
  set body_hash = excluded.body_hash,
    todo_id = excluded.todo_id,
    created_at = excluded.created_at
  where excluded.created_at - known.created_at >= ${sql.unsafe(KEY_LIFETIME)}
  returning key, todo_id`

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
type Creation = Pick<Todo, "title" | "description" | "is_completed"> & {
  index: number
  id: number | null
}
/** The todo as it will be. The row is locked, so that its next version is known. */
type Update = Omit<Versioned, "created_at">

export type Writes = { creations: Creation[]; updates: Update[]; deletions: number[] }

/** A created todo. If none was created, a single row contains only the revision. */
type WrittenRow = Versioned & { index: number | null; revision: number }

const APPLY = `
  with revised as (
    ${nextRevision(`where ${COUNTING}`, { room: "$2", added: "$3", steps: "$4" })}
  ), drawn as materialized (
    select index, coalesce(id, nextval('todo_ids')) as id, title, description, is_completed
    from jsonb_to_recordset($5::jsonb) as creation (
      index integer, id bigint, title text, description text, is_completed boolean
    )
  ), created as (
    insert into todos (owner_id, id, title, description, is_completed, revision)
    select $1::bigint, id, title, description, is_completed, revision
    from drawn
    cross join revised
    returning id, title, description, is_completed, created_at, updated_at, version
  ), updated as (
    update todos
    set title = wanted.title,
      description = wanted.description,
      is_completed = wanted.is_completed,
      version = wanted.version,
      revision = revised.revision,
      updated_at = wanted.updated_at
    from jsonb_to_recordset($6::jsonb) as wanted (
      id bigint, title text, description text, is_completed boolean, version bigint,
      updated_at timestamptz
    )
    cross join revised
    where todos.owner_id = $1
      and todos.id = wanted.id
  ), gone as (
    delete from todos
    using revised
    where todos.owner_id = $1
      and todos.id = any($7::bigint[])
    returning todos.id
  ), remembered as (
    insert into deleted_todos (owner_id, id, revision)
    select $1::bigint, id, revision
    from gone
    cross join revised
  )
  select drawn.index, created.id, created.title, created.description, created.is_completed,
    created.created_at, created.updated_at, created.version, revised.revision
  from revised
  left join created on true
  left join drawn on drawn.id = created.id`

/**
 * Writes everything of a batch, with one revision. The rows to update and delete must be locked already,
 * because the revision is the last lock.
 */
export const applyWrites = (
  sql: Statements,
  ownerId: number,
  { creations, updates, deletions }: Writes,
  room: number | null,
) =>
  sql.unsafe<WrittenRow[]>(
    APPLY,
    [
      ownerId,
      room,
      creations.length - deletions.length,
      Math.max(1, creations.length),
      sql.json(creations),
      sql.json(updates),
      `{${deletions.join()}}`,
    ],
    PREPARED,
  )
