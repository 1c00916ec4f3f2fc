/** Sends the queue, in batches and in order, and updates it with the answers. */
import { ApiError, type Failure, noSuchTodo } from "../errors.ts"
import type { Http } from "../http.ts"
import type { Held } from "../platform.ts"
import type { Authorized } from "../session.ts"
import { checked, isResultsOf, type Result } from "../shapes.ts"
import type { Operation, Refusal } from "./model.ts"
import { mayPass, refuse, settle } from "./settle.ts"
import { nextOperations, type Store } from "./store.ts"

/** How many operations a request has at most. */
const BATCH = 100
/** A small batch waits this long, a larger one the time that its bytes take on a slow line. */
const SILENCE = 10_000
const BYTES_PER_MS = 5
/** Matches no version: the result is a 412 with the current todo, onto which the edit is merged. */
const UNKNOWN = '"?"'

type Sent = [key: string, operation: Operation]

const toWire = (operation: Operation) => {
  const { op, key, id, etag = UNKNOWN } = operation
  return {
    op,
    ...(op !== "create" && { id }),
    // With the key, a repeat after a lost answer does nothing, even if others reverted the update.
    ...("todo" in operation && { key, todo: operation.todo }),
    ...("base" in operation && { if_match: etag }),
  }
}

/** Whether the batch, or one of its operations, is refused for good. */
const isRefusal = (error: unknown): error is ApiError =>
  error instanceof ApiError &&
  (error.error_code === "UNEXPECTED_ANSWER"
    ? // A proxy takes no bodies of this size.
      error.status === 413
    : [400, 403, 413, 422].includes(error.status))

type Deps = { http: Http; store: Store; authorized: Authorized; held: Held; signal: AbortSignal }

export const createSender = ({ http, store, authorized, held, signal }: Deps) => {
  /** Halved until it is known for which of its operations a batch was refused. */
  let size = BATCH

  /** Marks the next edits as sent. Where the storage is full, they are sent all the same. */
  const mark = async () => {
    let batch: Sent[] = []
    await store.edit((set) => {
      batch = nextOperations(store.allEdits(), size).map(([key, operation]): Sent => {
        // Its create has been saved, and is in the replica already.
        const id = operation.id < 0 && operation.op !== "create" ? store.idOf(key) : operation.id
        return [key, { ...operation, id, step: "sent" }]
      })
      for (const [key, sent] of batch)
        set(
          key,
          store.editsOf(key).map((edit) => (edit.key === sent.key ? sent : edit)),
        )
    })
    return batch
  }

  const request = async (batch: readonly Sent[]) => {
    const body = { operations: batch.map(([, operation]) => toWire(operation)) }
    const path = "/api/v1/todos/batch"
    const outgoing = { method: "POST", path, body, signal, isBackground: true }
    const silence = SILENCE + JSON.stringify(body).length / BYTES_PER_MS
    const { data } = await authorized((headers) => http.once({ ...outgoing, headers }, silence))
    return checked(data, isResultsOf(batch.length)).results
  }

  const refuseAll = (batch: readonly Sent[], error: Refusal) =>
    store.edit((set) => {
      // The error itself cannot be stored.
      for (const [key, sent] of batch)
        set(key, ...refuse(key, store.editsOf(key), sent, { ...error }))
    })

  const settleAll = (batch: readonly Sent[], results: readonly Result[]) =>
    store.edit((set) => {
      batch.forEach(([key, sent], index) => {
        const result = results[index]
        if (result) set(key, ...settle(key, store.editsOf(key), sent, result))
      })
    })

  return {
    hasWork: () => store.unsent() > 0,

    /** Whether answers got lost: a fetch could bring a todo before it is known which create made it. */
    isUncertain: () => store.everyEdit().some(({ step }) => step === "sent"),

    /** Returns false if it is not the leader any more. Throws if edits have to be sent again later. */
    send: async (): Promise<boolean> => {
      const marked = await mark()
      const isKnown = ([, { id, op }]: Sent) => op === "create" || id > 0
      const batch = marked.filter(isKnown)
      const lost = marked.filter((sent) => !isKnown(sent))
      await refuseAll(lost, noSuchTodo() as Refusal)
      // After its own suspension the leader may not be the leader any more.
      if (batch.length === 0) return true
      if (!(await held.isHeld())) return false
      try {
        const results = await request(batch)
        await settleAll(batch, results)
        size = Math.min(BATCH, size * 2)
        const passing = results.find(({ status }) => mayPass(status))?.error
        if (passing) throw new ApiError(passing as Failure)
      } catch (error) {
        if (!isRefusal(error)) throw error
        if (batch.length > 1) size = Math.ceil(batch.length / 2)
        else if (error.error_code === "UNEXPECTED_ANSWER") throw error
        else await refuseAll(batch, error as Refusal)
      }
      return true
    },
  }
}
