/** All SQL over idempotency keys, except in batches. Every statement of a request names the owner. */
import type { Sql } from "../database/connect.ts"
import * as members from "./members.ts"
import { shown, type Written } from "./queries.ts"
import { changing, LIMITED_WAIT, nextRevision } from "./revisions.ts"

/** How long a key is remembered. */
export const KEY_LIFETIME = "interval '30 days'"

const INSERT_ONCE = `
  with claimed as (
    insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
    select $1::bigint, $4, $5::bytea, nextval('todo_ids')
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
  insert into todos (owner_id, id, revision, ${members.columns()})
  select $1::bigint, todo_id, revision, ${members.placeholders(6)}
  from claimed
  cross join revised
  returning ${shown("todos")}, revision`

/**
 * Undefined if the key is in use. A concurrent request with the same key waits for this one to commit. An
 * expired key counts as absent.
 */
export const insertTodoOnce = async (
  sql: Sql,
  ownerId: number,
  key: string,
  bodyHash: Uint8Array,
  body: members.NewTodo,
  room: number | null,
) => {
  const values = [room, key, bodyHash, ...members.createdValues(body)]
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
 * Deletes at most `limit` keys, of all owners, and returns how many. The outer condition spares a key that
 * was claimed again in the meantime.
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
