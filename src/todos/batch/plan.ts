/**
 * Decides in memory what each operation of a batch does, given the todos as the operations before it
 * leave them. The rows are locked, so that nobody else changes them in between.
 */

import { expectedVersions } from "../../http/entity-tag.ts"
import type { Problem } from "../../http/problem.ts"
import { firstResponse, type KeyUse } from "../idempotency.ts"

import { contentOf, merge, type TodoChanges } from "../members.ts"
import type { Versioned } from "../queries.ts"
import { quotaExceeded } from "../revisions.ts"
import { noSuchTodo, preconditionFailed } from "../writes.ts"
import type { LockedTodo, Writes } from "./queries.ts"
import type {
  CreateOperation,
  DeleteOperation,
  KeyedOperation,
  Operation,
  UpdateOperation,
} from "./schemas.ts"

export type Outcome =
  /** The todo is known when it has been written. */
  | { kind: "created" }
  | { kind: "replayed"; todo: Versioned }
  /** Has the same key as an earlier operation of the batch. */
  | { kind: "repeated"; index: number }
  | { kind: "updated"; todo: Versioned; isReplay: boolean }
  | { kind: "deleted" }
  | { kind: "refused"; problem: Problem; current?: Versioned }

/** What the key means for an operation. A free key of a create comes with the id for the todo. */
export type ByKey = (
  operation: KeyedOperation,
  index: number,
) =>
  | { kind: "free"; id: number | null }
  | { kind: "used"; use: KeyUse }
  | Extract<Outcome, { kind: "repeated" | "refused" }>

type Held = {
  todo: Versioned
  now: string
  isChanged: boolean
  isDeleted: boolean
  /** Whether it was deleted before the batch. */
  wasDeleted: boolean
}

const hold =
  (wasDeleted: boolean) =>
  ({ now, ...todo }: LockedTodo): [number, Held] => [
    todo.id,
    { todo, now, isChanged: false, isDeleted: wasDeleted, wasDeleted },
  ]

const later = (instant: string, milliseconds: number) =>
  new Date(Date.parse(instant) + milliseconds).toISOString()

/** The next version. */
const renewed = (todo: Versioned, now: string): Versioned => {
  const moved = later(todo.updated_at, 1)
  return {
    ...todo,
    version: Math.max(todo.version + 1, Date.parse(now)),
    updated_at: moved > now ? moved : now,
  }
}

/** Returns the same object if nothing changes. */
const changed = (todo: Versioned, changes: TodoChanges, now: string): Versioned => {
  const after = merge(todo, changes)
  return after === todo ? todo : renewed(after, now)
}

const writesOf = (held: Held[], creations: Writes["creations"], keepsDeleted: boolean): Writes => {
  const those = (isOne: (row: Held) => boolean) => held.filter(isOne).map(({ todo }) => todo)
  return {
    creations,
    updates: those((row) => row.isChanged && !row.isDeleted && !row.wasDeleted),
    restorations: those((row) => row.wasDeleted && !row.isDeleted),
    deletions: those((row) => row.isDeleted && !row.wasDeleted).map(({ id }) => id),
    // Those that were restored, even if they were deleted again.
    reused: those((row) => row.wasDeleted && row.isChanged).map(({ id }) => id),
    tombstones: those((row) => row.isDeleted && (row.isChanged || !row.wasDeleted)).map((todo) =>
      keepsDeleted ? todo : { id: todo.id },
    ),
  }
}

type Limits = {
  /** How many todos the owner has, and may have. */
  count: number
  max: number | undefined
  /** Whether what is deleted can be restored. */
  keepsDeleted: boolean
}

export const planBatch = (
  operations: Operation[],
  todos: LockedTodo[],
  deleted: LockedTodo[],
  byKey: ByKey,
  { count, max, keepsDeleted }: Limits,
) => {
  const outcomes: Outcome[] = []
  const creations: Writes["creations"] = []
  /** Keys that were claimed for operations that are refused. */
  const unusedKeys: string[] = []
  const held = new Map([...deleted.map(hold(true)), ...todos.map(hold(false))])
  let left = (max ?? Number.POSITIVE_INFINITY) - count

  const create = (operation: CreateOperation, index: number): Outcome => {
    const outcome = byKey(operation, index)
    if (outcome.kind === "repeated") {
      const first = outcomes[outcome.index]
      return first?.kind === "refused" ? first : outcome
    }
    if (outcome.kind === "used")
      return { kind: "replayed", todo: firstResponse(operation.todo, outcome.use) }
    if (outcome.kind !== "free") return outcome
    if (left <= 0) {
      if (operation.key !== undefined) unusedKeys.push(operation.key)
      return { kind: "refused", problem: quotaExceeded(max) }
    }
    left--
    creations.push({ index, id: outcome.id, ...contentOf(operation.todo) })
    return { kind: "created" }
  }

  const restore = (id: number): Outcome => {
    const row = held.get(id)
    if (!row || (row.isDeleted && !keepsDeleted)) return { kind: "refused", problem: noSuchTodo() }
    if (row.isDeleted) {
      if (left <= 0) return { kind: "refused", problem: quotaExceeded(max) }
      left--
      row.isDeleted = false
      row.isChanged = true
      row.todo = renewed(row.todo, row.now)
    }
    return { kind: "updated", todo: row.todo, isReplay: false }
  }

  const change = (operation: UpdateOperation | DeleteOperation): Outcome => {
    const row = held.get(operation.id)
    if (!row || row.isDeleted) return { kind: "refused", problem: noSuchTodo() }
    const versions = expectedVersions(operation.if_match ?? null)
    if (versions !== undefined && !versions.includes(row.todo.version))
      return { kind: "refused", problem: preconditionFailed(row.todo.version), current: row.todo }
    if (operation.op === "delete") {
      row.isDeleted = true
      left++
      return { kind: "deleted" }
    }
    const after = changed(row.todo, operation.todo, row.now)
    row.isChanged ||= after !== row.todo
    row.todo = after
    return { kind: "updated", todo: after, isReplay: false }
  }

  const changeOnce = (operation: UpdateOperation, index: number): Outcome => {
    const outcome = byKey(operation, index)
    const row = held.get(operation.id)
    if (outcome.kind === "refused") return outcome
    if (outcome.kind === "free") {
      const changed = change(operation)
      if (changed.kind === "refused" && operation.key !== undefined) unusedKeys.push(operation.key)
      return changed
    }
    const first = outcome.kind === "repeated" ? outcomes[outcome.index] : undefined
    if (first?.kind === "refused") return first
    if (!row || row.isDeleted) return { kind: "refused", problem: noSuchTodo() }
    return { kind: "updated", todo: row.todo, isReplay: true }
  }

  for (const [index, operation] of operations.entries())
    if (operation.op === "create") outcomes.push(create(operation, index))
    else if (operation.op === "update") outcomes.push(changeOnce(operation, index))
    else if (operation.op === "restore") outcomes.push(restore(operation.id))
    else outcomes.push(change(operation))
  return { outcomes, unusedKeys, writes: writesOf([...held.values()], creations, keepsDeleted) }
}
