/**
 * POST /todos/batch: many operations in one transaction and a few statements. To avoid deadlocks, all
 * transactions lock in the same order: todos by id, keys by name, and the owner's revision last.
 */
import type { Statements } from "../../database/sql.ts"
import { entityTag } from "../../http/entity-tag.ts"
import { Problem } from "../../http/problem.ts"
import { bodyHashOf } from "../idempotency.ts"
import type { Versioned } from "../queries.ts"
import type { Turn, Writer } from "../revisions.ts"
import { noSuchTodo, type WriteDeps, writeAsUser } from "../writes.ts"
import { type ByKey, type Outcome, planBatch } from "./plan.ts"
import {
  applyWrites,
  claimKeys,
  findKeyUses,
  type LockedTodo,
  lockCount,
  lockDeleted,
  lockTodos,
  releaseKeys,
  type Writes,
} from "./queries.ts"
import type { Batch, BatchResult, KeyedOperation, Operation } from "./schemas.ts"

type Keyed = KeyedOperation & { key: string }
const isKeyed = (operation: Operation): operation is Keyed =>
  (operation.op === "create" || operation.op === "update") && operation.key !== undefined

/** Tells a repeat from another operation with the same key. */
const hashOf = (operation: KeyedOperation) =>
  bodyHashOf(
    operation.op === "create" ? operation.todo : { id: operation.id, todo: operation.todo },
  )

/** Claims the keys that are free. Returns what the keys mean for each operation. */
const claim = async (sql: Statements, ownerId: number, operations: Operation[]): Promise<ByKey> => {
  if (!operations.some(isKeyed)) return () => ({ id: null })
  /** Of each key, its first operation. */
  const firsts = new Map<string, { index: number; bodyHash: Buffer }>()
  const claims = operations.flatMap((operation, index) => {
    if (!isKeyed(operation)) return operation.op === "create" ? [{ index }] : []
    const { key } = operation
    if (firsts.has(key)) return []
    const bodyHash = hashOf(operation)
    firsts.set(key, { index, bodyHash })
    const body_hash = bodyHash.toString("hex")
    return operation.op === "create"
      ? [{ index, key, body_hash }]
      : [{ index, key, body_hash, todo_id: operation.id }]
  })
  const rows = await claimKeys(sql, ownerId, claims)
  const ids = new Map(rows.map(({ index, todo_id }) => [index, todo_id]))
  const claimed = new Set(rows.map(({ key }) => key))
  const used = [...firsts.keys()].filter((key) => !claimed.has(key))
  const uses = new Map(
    used.length === 0 ? [] : (await findKeyUses(sql, ownerId, used)).map((use) => [use.key, use]),
  )
  return (operation, index) => {
    const { key = "" } = operation
    const [first, use] = [firsts.get(key), uses.get(key)]
    const bodyHash = use?.body_hash ?? first?.bodyHash
    return {
      id: ids.get(index) ?? null,
      use,
      first: first?.index === index ? undefined : first?.index,
      isReused: bodyHash !== undefined && !hashOf(operation).equals(bodyHash),
    }
  }
}

const isEmpty = (writes: Writes) => Object.values(writes).every(({ length }) => length === 0)

const shown = ({ version, ...todo }: Versioned) => ({ etag: entityTag(version), todo })

const toResult = (
  { status, todo: known, createdBy = -1, isReplay, problem }: Outcome,
  created: Map<number | null, Versioned>,
): BatchResult => {
  const todo = known ?? created.get(createdBy)
  if (status === 201 && !todo) throw new Error("A batch did not create what it was to create")
  return {
    status,
    ...(todo && shown(todo)),
    ...(isReplay && { replayed: true }),
    ...(problem && { error: problem.toDocument() }),
  }
}

const undone = () =>
  new Problem("BATCH_ROLLED_BACK", "Another operation of the batch was refused", { status: 424 })

/** Thrown within the transaction, so that it is rolled back. */
const rolledBack = (outcomes: Outcome[]) =>
  new Problem("BATCH_ROLLED_BACK", "An operation was refused, so all were undone; see results", {
    results: outcomes.map((outcome) =>
      toResult(outcome.problem ? outcome : { status: 424, problem: undone() }, new Map()),
    ),
  })

/** How often is looked for a todo that is neither there nor deleted. */
const ROUNDS = 3

/**
 * Locks the todos that the operations name, and the deleted ones that they restore. Another instance may
 * delete or restore one between two statements: then it is looked for again.
 */
const lock = async (sql: Statements, ownerId: number, operations: Operation[], days: number) => {
  const idsOf = (of: Operation[]) => [
    ...new Set(of.flatMap((one) => (one.op === "create" ? [] : [one.id]))),
  ]
  const found = { todos: [] as LockedTodo[], deleted: [] as LockedTodo[] }
  let ids = idsOf(operations)
  let restored = idsOf(operations.filter(({ op }) => op === "restore"))
  for (let round = 0; round < ROUNDS && ids.length > 0; round++) {
    found.deleted.push(...(await lockDeleted(sql, ownerId, restored, days)))
    found.todos.push(...(await lockTodos(sql, ownerId, ids)))
    const known = new Set([...found.deleted, ...found.todos].map(({ id }) => id))
    restored = restored.filter((id) => !known.has(id))
    ids = restored
  }
  return found
}

/** The outcomes of the operations, and the todos that were created, by the index of the operation. */
const write = async (deps: WriteDeps, writer: Writer, { operations, atomic = false }: Batch) => {
  const { maxTodos, trashDays } = deps
  const adds = operations.some(({ op }) => op === "create" || op === "restore")
  const transact = ({ sql, ownerId, options }: Turn) =>
    sql.begin(async (transaction) => {
      const { todos, deleted } = await lock(transaction, ownerId, operations, trashDays)
      const byKey = await claim(transaction, ownerId, operations)
      const plan = planBatch(operations, todos, deleted, byKey, {
        count: adds && maxTodos !== undefined ? await lockCount(transaction, ownerId) : 0,
        max: maxTodos,
        keepsDeleted: trashDays > 0,
      })
      const { outcomes, unusedKeys, writes } = plan
      if (atomic && outcomes.some(({ problem }) => problem)) throw rolledBack(outcomes)
      if (unusedKeys.length > 0) await releaseKeys(transaction, ownerId, unusedKeys)
      const rows = isEmpty(writes) ? [] : await applyWrites(transaction, ownerId, writes)
      const created = new Map(rows.map(({ index, revision: _, ...todo }) => [index, todo]))
      return { outcomes, created, revision: rows[0]?.revision }
    }, options)
  const { revision, ...written } = await writeAsUser(deps, writer, transact)
  if (revision !== undefined) deps.onCommit(writer.ownerId, revision)
  return written
}

/** Throws a 409 if the batch is atomic and an operation was refused. */
export const runBatch = async (
  deps: WriteDeps,
  writer: Writer,
  batch: Batch,
): Promise<{ results: BatchResult[] }> => {
  const { outcomes, created } = await write(deps, writer, batch)
  return { results: outcomes.map((outcome) => toResult(outcome, created)) }
}

/** The todo as it is then: brought back, unless it is not deleted. */
export const restoreTodo = async (deps: WriteDeps, writer: Writer, id: number) => {
  const { outcomes } = await write(deps, writer, { operations: [{ op: "restore", id }] })
  const [{ todo, problem } = {}] = outcomes
  if (!todo) throw problem ?? noSuchTodo()
  return todo
}
