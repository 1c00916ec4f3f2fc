/**
 * Decides in memory what each operation of a batch does, given the todos as the operations before it
 * leave them. The rows are locked, so that nobody else changes them in between.
 */
import { expectedVersions } from "../../http/entity-tag.ts"
import type { Problem } from "../../http/problem.ts"
import { firstResponse, type KeyUse, keyReused } from "../idempotency.ts"
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

/** What becomes of an operation. */
export type Outcome = {
  status: number
  todo?: Versioned | undefined
  /** The operation that creates the todo, which is known when it has been written. */
  createdBy?: number
  isReplay?: boolean
  problem?: Problem
}

const refused = (problem: Problem, todo?: Versioned): Outcome => ({
  status: problem.status,
  problem,
  todo,
})

/** What the key means for an operation. */
export type ByKey = (
  operation: KeyedOperation,
  index: number,
) => {
  /** For the todo that is created, if it was drawn. */
  id: number | null
  /** By an earlier request. */
  use?: KeyUse | undefined
  /** An earlier operation of the batch with the same key. */
  first?: number | undefined
  /** Whether the key belongs to another operation. */
  isReused?: boolean
}

type LockedRow = {
  todo: Versioned
  now: string
  isChanged: boolean
  isDeleted: boolean
  /** Whether it was deleted before the batch. */
  wasDeleted: boolean
}

const lockedRow =
  (wasDeleted: boolean) =>
  ({ now, ...todo }: LockedTodo): [number, LockedRow] => [
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
const updated = (todo: Versioned, changes: TodoChanges, now: string): Versioned => {
  const after = merge(todo, changes)
  return after === todo ? todo : renewed(after, now)
}

const writesOf = (
  rows: LockedRow[],
  creations: Writes["creations"],
  keepsDeleted: boolean,
): Writes => {
  const those = (isOne: (row: LockedRow) => boolean) => rows.filter(isOne).map(({ todo }) => todo)
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
  const rows = new Map([...deleted.map(lockedRow(true)), ...todos.map(lockedRow(false))])
  let left = (max ?? Number.POSITIVE_INFINITY) - count

  const create = (operation: CreateOperation, index: number): Outcome => {
    const { id, use, first, isReused } = byKey(operation, index)
    if (isReused) return refused(keyReused())
    if (use) return { status: 201, todo: firstResponse(operation.todo, use), isReplay: true }
    const earlier = first === undefined ? undefined : outcomes[first]
    if (earlier) return earlier.problem ? earlier : { ...earlier, isReplay: true }
    if (left <= 0) {
      if (operation.key !== undefined) unusedKeys.push(operation.key)
      return refused(quotaExceeded(max))
    }
    left--
    creations.push({ index, id, ...contentOf(operation.todo) })
    return { status: 201, createdBy: index }
  }

  const restore = (id: number): Outcome => {
    const row = rows.get(id)
    if (!row || (row.isDeleted && !keepsDeleted)) return refused(noSuchTodo())
    if (row.isDeleted) {
      if (left <= 0) return refused(quotaExceeded(max))
      left--
      row.isDeleted = false
      row.isChanged = true
      row.todo = renewed(row.todo, row.now)
    }
    return { status: 200, todo: row.todo }
  }

  const change = (operation: UpdateOperation | DeleteOperation): Outcome => {
    const row = rows.get(operation.id)
    if (!row || row.isDeleted) return refused(noSuchTodo())
    const versions = expectedVersions(operation.if_match ?? null)
    if (versions !== undefined && !versions.includes(row.todo.version))
      return refused(preconditionFailed(row.todo.version), row.todo)
    if (operation.op === "delete") {
      row.isDeleted = true
      left++
      return { status: 204 }
    }
    const after = updated(row.todo, operation.todo, row.now)
    row.isChanged ||= after !== row.todo
    row.todo = after
    return { status: 200, todo: after }
  }

  const changeOnce = (operation: UpdateOperation, index: number): Outcome => {
    const { use, first, isReused } = byKey(operation, index)
    if (isReused) return refused(keyReused())
    const earlier = first === undefined ? undefined : outcomes[first]
    if (earlier?.problem) return earlier
    if (use || earlier) {
      const row = rows.get(operation.id)
      if (!row || row.isDeleted) return refused(noSuchTodo())
      return { status: 200, todo: row.todo, isReplay: true }
    }
    const outcome = change(operation)
    if (outcome.problem && operation.key !== undefined) unusedKeys.push(operation.key)
    return outcome
  }

  for (const [index, operation] of operations.entries())
    if (operation.op === "create") outcomes.push(create(operation, index))
    else if (operation.op === "update") outcomes.push(changeOnce(operation, index))
    else if (operation.op === "restore") outcomes.push(restore(operation.id))
    else outcomes.push(change(operation))
  return { outcomes, unusedKeys, writes: writesOf([...rows.values()], creations, keepsDeleted) }
}
