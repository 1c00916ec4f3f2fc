/** Creates, changes and deletes todos: the owner's turn, owners without a row, preconditions, the quota. */
import { constraintOf } from "../database/errors.ts"
import type { Sql } from "../database/sql.ts"
import { entityTag } from "../http/entity-tag.ts"
import { Problem } from "../http/problem.ts"
import { createOnce } from "./idempotency.ts"
import type { NewTodo, TodoChanges } from "./members.ts"
import type { Versioned } from "./queries.ts"
import * as queries from "./queries.ts"
import {
  inTurn,
  isBeyondQuota,
  quotaExceeded,
  type Turn,
  type Turns,
  type Writer,
} from "./revisions.ts"

export type WriteDeps = {
  sql: Sql
  /** Creates the user whom another system's token names. Throws a 401 if that user was deleted. */
  createFederatedUser: (id: number) => Promise<void>
  maxTodos: number | undefined
  /** For how long a deleted todo can be restored. */
  trashDays: number
  turns: Turns
  /** Called after each commit. */
  onCommit: (ownerId: number, revision: number) => void
}

/** If the owner has no row yet, creates the user whom the token names, and writes again. */
export const writeAsUser = <Result>(
  deps: WriteDeps,
  writer: Writer,
  write: (turn: Turn) => Promise<Result>,
): Promise<Result> =>
  inTurn(deps, writer, async (turn) => {
    try {
      return await write(turn)
    } catch (error) {
      if (!constraintOf(error)?.endsWith("_owner_id_fkey")) throw error
      await deps.createFederatedUser(turn.ownerId)
      return write(turn)
    }
  })

/** The same for another user's todo, so that nobody learns which ids exist. */
export const noSuchTodo = () => new Problem("TODO_NOT_FOUND", "Todo not found or not owned by user")

/** Names the version that the todo has: clients fetch it, or compare it with what they have. */
export const preconditionFailed = (version: number) => {
  const etag = entityTag(version)
  const detail = `The todo has another version than If-Match names: ${etag}`
  return new Problem("PRECONDITION_FAILED", detail, { headers: { etag } })
}

export const createTodo = async (
  deps: WriteDeps,
  writer: Writer,
  key: string | null,
  todo: NewTodo,
): Promise<{ created: Versioned; isReplay: boolean }> => {
  const max = deps.maxTodos ?? null
  const insert = (turn: Turn) =>
    key === null ? queries.insertTodo(turn, todo, max) : createOnce(turn, key, todo, max)
  const { revision, ...created } = await writeAsUser(deps, writer, insert).catch((error) => {
    throw isBeyondQuota(error) ? quotaExceeded(deps.maxTodos) : error
  })
  if (revision !== null) deps.onCommit(writer.caller.userId, revision)
  return { created, isReplay: revision === null }
}

export const updateTodo = async (
  deps: WriteDeps,
  writer: Writer,
  id: number,
  changes: TodoChanges,
  versions: number[] | undefined,
) => {
  const update = (turn: Turn) => queries.updateTodo(turn, id, changes, versions)
  const row = await inTurn(deps, writer, update)
  if (!row) throw noSuchTodo()
  const { is_expected, revision, ...updated } = row
  if (!is_expected) throw preconditionFailed(updated.version)
  if (revision !== null) deps.onCommit(writer.caller.userId, revision)
  return updated
}

export const deleteTodo = async (
  deps: WriteDeps,
  writer: Writer,
  id: number,
  versions: number[] | undefined,
) => {
  const remove = (turn: Turn) => queries.deleteTodo(turn, id, versions, deps.trashDays > 0)
  const row = await inTurn(deps, writer, remove)
  if (!row) throw noSuchTodo()
  if (!row.is_expected) throw preconditionFailed(row.version)
  if (row.revision !== null) deps.onCommit(writer.caller.userId, row.revision)
}
