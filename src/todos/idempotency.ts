/** Idempotency-Key: claims a key with the todo that it creates, and replays the first response. */
import { createHash } from "node:crypto"
import { PREPARED, type Sql, type Statements } from "../database/sql.ts"
import { FIRST_VERSION } from "../http/entity-tag.ts"
import { Problem } from "../http/problem.ts"
import * as members from "./members.ts"
import { shown, type Versioned, type Written } from "./queries.ts"
import { LIMITED_WAIT, nextRevision, type Turn, writing } from "./revisions.ts"

/** The same text for equal JSON values, in any order of members. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )

/** Tells a repeat from another request with the same key. */
export const bodyHashOf = (body: unknown) =>
  createHash("sha256").update(canonical(body)).digest("hex")

export const keyReused = () =>
  new Problem("IDEMPOTENCY_KEY_REUSED", "This key was used with another body")

/** The todo of the first response, which follows from the body and the key. */
export const firstResponse = (
  body: members.NewTodo,
  use: Pick<KeyUse, "todo_id" | "created_at">,
): Versioned => ({
  id: use.todo_id,
  ...members.contentOf(body),
  created_at: use.created_at,
  updated_at: use.created_at,
  version: FIRST_VERSION,
})

/**
 * A replay has no revision. An expired key counts as absent. A concurrent request with the same key waits
 * for this one to commit.
 */
export const createOnce = async (
  turn: Turn,
  key: string,
  body: members.NewTodo,
  max: number | null,
): Promise<Written | (Versioned & { revision: null })> => {
  const bodyHash = bodyHashOf(body)
  const values = [max, key, bodyHash, ...members.createdValues(body)]
  // If the key expires between the two statements, it is free again.
  for (;;) {
    const [created] = await writing<Written>(turn, INSERT_ONCE, values)
    if (created) return created
    const { sql, ownerId, options } = turn
    const [use] = await findKeyUses(sql.pipelined, ownerId, [key], options)
    if (!use) continue
    if (bodyHash !== use.body_hash) throw keyReused()
    return { ...firstResponse(body, use), revision: null }
  }
}

/** How long a key is remembered. */
export const KEY_LIFETIME = "interval '30 days'"

const INSERT_ONCE = `
  with claimed as (
    insert into idempotency_keys as known (owner_id, key, body_hash, todo_id)
    select $1::bigint, $4, decode($5, 'hex'), nextval('todo_ids')
    where ${LIMITED_WAIT}
    on conflict on constraint idempotency_keys_pkey do update
    set body_hash = excluded.body_hash,
      todo_id = excluded.todo_id,
      created_at = excluded.created_at
    where excluded.created_at - known.created_at >= ${KEY_LIFETIME}
    returning todo_id
  ), revised as (
    ${nextRevision("from claimed", { added: "1", max: "$3" })}
  )
  insert into todos (owner_id, id, revision, ${members.columns()})
  select $1::bigint, todo_id, revision, ${members.placeholders(6)}
  from claimed
  cross join revised
  returning ${shown("todos")}, revision`

export type KeyUse = { body_hash: string; todo_id: number; created_at: string }

const FIND_USES = `
  select key, encode(body_hash, 'hex') as body_hash, todo_id, created_at
  from idempotency_keys
  where owner_id = $1
    and key = any($2::text[])
    and created_at > now() - ${KEY_LIFETIME}`

export const findKeyUses = (
  sql: Statements,
  ownerId: number,
  keys: string[],
  options: { prepare: boolean } = PREPARED,
) => {
  // An array of Postgres escapes visible ASCII as JSON does.
  const array = `{${keys.map((key) => JSON.stringify(key)).join()}}`
  return sql.unsafe<(KeyUse & { key: string })[]>(FIND_USES, [ownerId, array], options)
}

/**
 * Deletes about `limit` keys, of all owners, and returns how many. By a range, because a join would compare each
 * with each while the statistics know of few.
 */
export const deleteExpiredKeys = async (sql: Sql, limit: number) =>
  (
    await sql`
      delete from idempotency_keys
      where created_at <= (
        select max(created_at)
        from (
          select created_at
          from idempotency_keys
          where created_at <= now() - ${sql.unsafe(KEY_LIFETIME)}
          order by created_at
          limit ${limit}
        ) as oldest
      )`
  ).count
