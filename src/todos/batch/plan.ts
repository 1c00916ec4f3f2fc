/**
 * Decides in memory what each operation of a batch does, given the todos as the operations before it
 * leave them. The rows are locked, so that nobody else changes them in between.
 */
import { expectedVersions } from "../../http/entity-tag.ts"
import type { Problem } from "../../http/problem.ts"
import { bodyHashOf, firstResponse, type KeyUse, keyReused } from "../idempotency.ts"
import { merge } from "../members.ts"
import type { Versioned } from "../queries.ts"
import { quotaExceeded } from "../revisions.ts"
import { noSuchTodo, preconditionFailed } from "../writes.ts"
import type { Claim, LockedTodo, Writes } from "./queries.ts"
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
  isReplay?: boolean
  problem?: Problem
}

const refused = (problem: Problem, todo?: Versioned): Outcome => ({
  status: problem.status,
  problem,
  todo,
})

/** Tells a repeat from another operation with the same key. */
export const hashOf = (operation: KeyedOperation) =>
  bodyHashOf(
    operation.op === "create" ? operation.todo : { id: operation.id, todo: operation.todo },
  )

/** What the batch claimed before it was planned. */
export type Claims = {
  /** The todos that creates make, by the index of the operation. */
  drawn: Map<number, { todo_id: number; now: string; created: string }>
  /** What the keys stand for: of an earlier request, or of the `first` operation of the batch. */
  uses: Map<string, KeyUse & { first?: number }>
}

type Row = { todo: Versioned; locked: LockedTodo; isChanged: boolean; isDeleted: boolean }

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

const writesOf = (rows: Row[], created: Versioned[], keepsDeleted: boolean): Writes => {
  const those = (isOne: (row: Row) => boolean) =>
    rows
      .filter((row) => row.isChanged && isOne(row))
      .map(({ todo, locked }): Versioned => ({ ...todo, created_at: locked.created }))
  const wasDeleted = ({ locked }: Row) => locked.was_deleted
  const idOf = ({ id }: Versioned) => id
  return {
    inserted: [...created, ...those((row) => wasDeleted(row) && !row.isDeleted)],
    updated: those((row) => !wasDeleted(row) && !row.isDeleted),
    removed: those((row) => !wasDeleted(row) && row.isDeleted).map(idOf),
    // Those that were restored, even if they were deleted again.
    reused: those(wasDeleted).map(idOf),
    tombstones: those(({ isDeleted }) => isDeleted).map((todo) =>
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
  locked: LockedTodo[],
  { drawn, uses }: Claims,
  { count, max, keepsDeleted }: Limits,
) => {
  const outcomes: Outcome[] = []
  const created: Versioned[] = []
  /** Keys that were claimed for operations that are refused. */
  const unusedKeys: string[] = []
  /** Of those, the ones that a later operation has used. */
  const reclaims: Claim[] = []
  const rows = new Map(
    locked.map((row): [number, Row] => {
      const { created: _, now: __, was_deleted, ...todo } = row
      return [row.id, { todo, locked: row, isChanged: false, isDeleted: was_deleted }]
    }),
  )
  let left = (max ?? Number.POSITIVE_INFINITY) - count

  const create = ({ todo: body }: CreateOperation, index: number): Outcome => {
    if (left <= 0) return refused(quotaExceeded(max))
    const one = drawn.get(index)
    if (!one) throw new Error("No id was drawn for a create")
    left--
    const todo = firstResponse(body, { todo_id: one.todo_id, created_at: one.now })
    created.push({ ...todo, created_at: one.created, updated_at: one.created })
    return { status: 201, todo }
  }

  const restore = (id: number): Outcome => {
    const row = rows.get(id)
    if (!row || (row.isDeleted && !keepsDeleted)) return refused(noSuchTodo())
    if (row.isDeleted) {
      if (left <= 0) return refused(quotaExceeded(max))
      left--
      row.isDeleted = false
      row.isChanged = true
      row.todo = renewed(row.todo, row.locked.now)
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
      row.isDeleted = row.isChanged = true
      left++
      return { status: 204 }
    }
    const merged = merge(row.todo, operation.todo)
    if (merged !== row.todo) {
      row.isChanged = true
      row.todo = renewed(merged, row.locked.now)
    }
    return { status: 200, todo: row.todo }
  }

  const replay = (operation: KeyedOperation, use: KeyUse): Outcome => {
    if (operation.op === "create")
      return { status: 201, todo: firstResponse(operation.todo, use), isReplay: true }
    const row = rows.get(operation.id)
    if (!row || row.isDeleted) return refused(noSuchTodo())
    return { status: 200, todo: row.todo, isReplay: true }
  }

  /** Without a key, too. */
  const once = (operation: KeyedOperation, index: number): Outcome => {
    const { key } = operation
    const use = key === undefined ? undefined : uses.get(key)
    const isLater = use !== undefined && use.first !== index
    const isFree = use?.first !== undefined && outcomes[use.first]?.problem
    if (isLater && !isFree)
      return hashOf(operation) === use.body_hash ? replay(operation, use) : refused(keyReused())
    const outcome = operation.op === "create" ? create(operation, index) : change(operation)
    if (key === undefined) return outcome
    if (!isLater) {
      if (outcome.problem) unusedKeys.push(key)
    } else if (outcome.todo && !outcome.problem) {
      const used = { body_hash: hashOf(operation), todo_id: outcome.todo.id }
      uses.set(key, { ...use, ...used, first: index })
      reclaims.push({ ...used, key, index })
    }
    return outcome
  }

  for (const [index, operation] of operations.entries())
    if (operation.op === "restore") outcomes.push(restore(operation.id))
    else if (operation.op === "delete") outcomes.push(change(operation))
    else outcomes.push(once(operation, index))
  return {
    outcomes,
    unusedKeys,
    reclaims,
    writes: writesOf([...rows.values()], created, keepsDeleted),
  }
}
