/** Idempotency-Key: a repeated create gets the first answer again. */
import { createHash } from "node:crypto"
import type { Sql } from "../../database/connect.ts"
import { FIRST_VERSION } from "../../http/entity-tag.ts"
import { Problem } from "../../http/problem.ts"
import { findKeyUse, insertTodoOnce, type KeyUse } from "../idempotency.ts"
import { contentOf, type NewTodo } from "../members.ts"
import type { Versioned, Written } from "../queries.ts"

const VISIBLE_ASCII = /^[!-~]{1,255}$/

/** The same text for equal JSON values, in any order of members. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )

/** Tells a repeat from another request with the same key. */
export const bodyHashOf = (body: unknown) => createHash("sha256").update(canonical(body)).digest()

export const keyReused = () =>
  new Problem("IDEMPOTENCY_KEY_REUSED", "This key was used with another body")

/** The todo of the first answer, which follows from the body and the key. */
export const firstAnswer = (body: NewTodo, use: KeyUse): Versioned => ({
  id: use.todo_id,
  ...contentOf(body),
  created_at: use.created_at,
  updated_at: use.created_at,
  version: FIRST_VERSION,
})

export const createOnce = async (
  sql: Sql,
  ownerId: number,
  key: string,
  body: NewTodo,
  room: number | null,
): Promise<{ created: Written; isReplay: false } | { created: Versioned; isReplay: true }> => {
  if (!VISIBLE_ASCII.test(key))
    throw new Problem("BAD_REQUEST", "Idempotency-Key must be 1 to 255 visible ASCII characters")
  const bodyHash = bodyHashOf(body)
  // If the key expires between the two statements, it is free again.
  for (;;) {
    const created = await insertTodoOnce(sql, ownerId, key, bodyHash, body, room)
    if (created) return { created, isReplay: false }
    const use = await findKeyUse(sql, ownerId, key)
    if (!use) continue
    if (!bodyHash.equals(use.body_hash)) throw keyReused()
    return { created: firstAnswer(body, use), isReplay: true }
  }
}
