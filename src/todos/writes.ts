/** Creates, changes and deletes todos, with idempotency keys, preconditions and the quota. */
import type { Sql } from "../database/connect.ts"
import { constraintOf } from "../database/errors.ts"
import { expectedVersions } from "../http/entity-tag.ts"
import { createOnce } from "./keys/create-once.ts"
import type { NewTodo, TodoChanges } from "./members.ts"
import { noSuchTodo, preconditionFailed } from "./problems.ts"
import type { Versioned } from "./queries.ts"
import * as queries from "./queries.ts"
import type { Quota } from "./quota/quota.ts"

export type WriteDeps = {
  sql: Sql
  /** Creates the user whom another system's token names. Throws a 401 if that user was deleted. */
  createOutsideUser: (id: number) => Promise<void>
  quota: Quota
  /** Called after each commit. */
  changed: (ownerId: number, revision: number) => void
}

/** The foreign keys that a write violates if its owner has no row yet. */
const UNKNOWN_OWNER = ["todos_owner_id_fkey", "idempotency_keys_owner_id_fkey"]

/** A write. If its owner has no row yet, creates the user whom the token names, and writes again. */
export const asUser = async <Result>(
  { createOutsideUser }: Pick<WriteDeps, "createOutsideUser">,
  ownerId: number,
  write: () => Promise<Result>,
): Promise<Result> => {
  try {
    return await write()
  } catch (error) {
    if (!UNKNOWN_OWNER.includes(constraintOf(error) ?? "")) throw error
    await createOutsideUser(ownerId)
    return write()
  }
}

export const createTodo = async (
  { sql, createOutsideUser, quota, changed }: WriteDeps,
  ownerId: number,
  key: string | null,
  todo: NewTodo,
) => {
  const insert = async (room: number | null) =>
    key === null
      ? { created: await queries.insertTodo(sql, ownerId, todo, room), isReplay: false as const }
      : createOnce(sql, ownerId, key, todo, room)
  const create = async (): Promise<{ created: Versioned; isReplay: boolean }> => {
    const outcome = await quota.forOne(ownerId, insert)
    if (outcome.isReplay) return outcome
    const { revision, ...created } = outcome.created
    changed(ownerId, revision)
    return { created, isReplay: false }
  }
  return asUser({ createOutsideUser }, ownerId, create)
}

export const updateTodo = async (
  { sql, changed }: WriteDeps,
  ownerId: number,
  id: number,
  changes: TodoChanges,
  ifMatch: string | null,
) => {
  const row = await queries.updateTodo(sql, ownerId, id, changes, expectedVersions(ifMatch))
  if (!row) throw noSuchTodo()
  const { is_expected, revision, ...updated } = row
  if (!is_expected) throw preconditionFailed()
  if (revision !== null) changed(ownerId, revision)
  return updated
}

export const deleteTodo = async (
  { sql, changed }: WriteDeps,
  ownerId: number,
  id: number,
  ifMatch: string | null,
) => {
  const found = await queries.deleteTodo(sql, ownerId, id, expectedVersions(ifMatch))
  if (!found) throw noSuchTodo()
  if (!found.is_expected) throw preconditionFailed()
  if (found.revision !== null) changed(ownerId, found.revision)
}
