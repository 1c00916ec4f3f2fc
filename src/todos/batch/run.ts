/**
 * POST /todos/batch: many operations in one transaction and a few statements. To avoid deadlocks, all
 * transactions lock in the same order: todos by id, keys by name, and the owner's revision last.
 */
import type { Statements } from "../../database/sql.ts"
import { entityTag } from "../../http/entity-tag.ts"
import { Problem } from "../../http/problem.ts"
import { findKeyUses } from "../idempotency.ts"
import type { Versioned } from "../queries.ts"
import type { Turn, Writer } from "../revisions.ts"
import { noSuchTodo, type WriteDeps, writeAsUser } from "../writes.ts"
import { type Claims, hashOf, type Outcome, planBatch } from "./plan.ts"
import * as queries from "./queries.ts"
import type { Batch, BatchResult, Operation } from "./schemas.ts"

/** How often is looked for a todo to restore that is neither there nor deleted. */
const ROUNDS = 3

/** Draws the ids of what is created, and claims the keys that are free. */
const claim = async (sql: Statements, ownerId: number, operations: Operation[]) => {
  /** Of each key, its first operation. */
  const firsts = new Map<string, { first: number; body_hash: string }>()
  const claims: queries.Claim[] = []
  for (const [index, operation] of operations.entries()) {
    if (operation.op !== "create" && operation.op !== "update") continue
    const { key } = operation
    const todo_id = operation.op === "update" ? operation.id : null
    if (key === undefined || firsts.has(key)) {
      if (operation.op === "create") claims.push({ index })
    } else {
      const body_hash = hashOf(operation)
      firsts.set(key, { first: index, body_hash })
      claims.push({ index, key, body_hash, todo_id })
    }
  }
  const claimed = claims.length === 0 ? [] : await queries.claimKeys(sql, ownerId, claims)
  const uses: Claims["uses"] = new Map()
  for (const { key, todo_id, now } of claimed) {
    const own = key === null ? undefined : firsts.get(key)
    if (key !== null && own) uses.set(key, { ...own, todo_id, created_at: now })
  }
  const others = [...firsts.keys()].filter((key) => !uses.has(key))
  if (others.length > 0)
    for (const { key, ...use } of await findKeyUses(sql, ownerId, others)) uses.set(key, use)
  return { drawn: new Map(claimed.map((row) => [row.index, row])), uses }
}

const tagged = ({ version, ...todo }: Versioned) => ({ etag: entityTag(version), todo })

const toResult = ({ status, todo, isReplay, problem }: Outcome): BatchResult => ({
  status,
  ...(todo && tagged(todo)),
  ...(isReplay && { replayed: true }),
  ...(problem && { error: problem.toDocument() }),
})

const undone = () =>
  new Problem("BATCH_ROLLED_BACK", "Another operation of the batch was refused", { status: 424 })

/** Thrown within the transaction, so that it is rolled back. */
const rolledBack = (outcomes: Outcome[]) =>
  new Problem("BATCH_ROLLED_BACK", "An operation was refused, so all were undone; see results", {
    results: outcomes.map((outcome) =>
      toResult(outcome.problem ? outcome : { status: 424, problem: undone() }),
    ),
  })

const write = async (deps: WriteDeps, writer: Writer, { operations, atomic = false }: Batch) => {
  const { maxTodos, trashDays } = deps
  const adds = operations.some(({ op }) => op === "create" || op === "restore")
  const ids = new Set(operations.flatMap((one) => (one.op === "create" ? [] : [one.id])))
  const restored = new Set(operations.flatMap((one) => (one.op === "restore" ? [one.id] : [])))
  const transact = ({ sql, ownerId, options }: Turn, isLast: boolean) =>
    sql.begin(async (transaction) => {
      const locked =
        ids.size === 0
          ? []
          : await queries.lockTodos(transaction, ownerId, ids, restored, trashDays)
      const found = new Set(locked.map(({ id }) => id))
      if (!isLast && !restored.isSubsetOf(found)) return undefined
      const claims = await claim(transaction, ownerId, operations)
      const { outcomes, unusedKeys, reclaims, writes } = planBatch(operations, locked, claims, {
        count: adds && maxTodos !== undefined ? await queries.lockCount(transaction, ownerId) : 0,
        max: maxTodos,
        keepsDeleted: trashDays > 0,
      })
      if (atomic && outcomes.some(({ problem }) => problem)) throw rolledBack(outcomes)
      if (unusedKeys.length > 0) await queries.releaseKeys(transaction, ownerId, unusedKeys)
      if (reclaims.length > 0) await queries.claimKeys(transaction, ownerId, reclaims)
      const isChange = Object.values(writes).some(({ length }) => length > 0)
      const revision = isChange
        ? await queries.applyWrites(transaction, ownerId, writes)
        : undefined
      return { outcomes, revision }
    }, options)
  /**
   * Another instance may delete or restore a todo while a statement waits for it: then it is looked for again, in
   * a transaction of its own, because locks that came on top of others might deadlock.
   */
  const transactAgain = async (turn: Turn) => {
    for (let round = 1; ; round++) {
      const done = await transact(turn, round === ROUNDS)
      if (done) return done
    }
  }
  const { outcomes, revision } = await writeAsUser(deps, writer, transactAgain)
  if (revision !== undefined) deps.onCommit(writer.caller.userId, revision)
  return outcomes
}

/** Throws a 409 if the batch is atomic and an operation was refused. */
export const runBatch = async (
  deps: WriteDeps,
  writer: Writer,
  batch: Batch,
): Promise<{ results: BatchResult[] }> => ({
  results: (await write(deps, writer, batch)).map(toResult),
})

/** The todo as it is then: brought back, unless it is not deleted. */
export const restoreTodo = async (deps: WriteDeps, writer: Writer, id: number) => {
  const [{ todo, problem } = {}] = await write(deps, writer, {
    operations: [{ op: "restore", id }],
  })
  if (!todo) throw problem ?? noSuchTodo()
  return todo
}
