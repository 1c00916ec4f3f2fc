/** Sends the queue, in batches and in order, and updates it with the answers. */
import { ApiError, hasCode } from "../errors.ts"
import type { Http } from "../http.ts"
import type { Held } from "../platform.ts"
import type { Authorized } from "../session.ts"
import { checked, isResultsOf, type Result } from "../shapes.ts"
import type { Operation } from "./model.ts"
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

const toWire = ({ op, key, id, etag, ...operation }: Operation) => {
  if (op === "create" && "todo" in operation) return { op, key, todo: operation.todo }
  if (op === "restore") return { op, id }
  return {
    op,
    id,
    // With the key, a repeat after a lost answer does nothing, even if others reverted the update.
    ...("todo" in operation && { key, todo: operation.todo }),
    if_match: etag ?? UNKNOWN,
  }
}

/** The operations for which a batch was refused: those that the error names, or its only one. */
const culprits = (error: ApiError, batch: readonly Sent[]): readonly Sent[] => {
  const named = (error.errors ?? []).flatMap(({ pointer = "" }) => {
    const index = /^\/operations\/(\d+)/.exec(pointer)?.[1]
    const sent = batch[Number(index)]
    return sent ? [sent] : []
  })
  return named.length > 0 || batch.length > 1 ? [...new Set(named)] : batch
}

const isRefusal = (error: unknown): error is ApiError =>
  error instanceof ApiError &&
  error.error_code !== "UNEXPECTED_ANSWER" &&
  [400, 403, 413, 422].includes(error.status)

const notNow = ({ status, error }: Result) =>
  new ApiError({
    error_code: "SERVICE_UNAVAILABLE",
    status,
    detail: error?.detail ?? "An operation has no answer yet",
  })

const gone = {
  error_code: "TODO_NOT_FOUND",
  status: 404,
  detail: "The todo does not exist any more",
} as const

type Deps = { http: Http; store: Store; authorized: Authorized; held: Held; signal: AbortSignal }

export const createSender = ({ http, store, authorized, held, signal }: Deps) => {
  /** Smaller while it is not known for which of its operations a batch was refused. */
  let size = BATCH

  /** Marks the next edits as sent. Where the storage is full, they are sent all the same. */
  const mark = async () => {
    let batch: Sent[] = []
    await store.edit((edits, set, all) => {
      batch = nextOperations(all(), size).map(([key, operation]): Sent => {
        // Its create has been saved, and is in the replica already.
        const id = operation.id < 0 && operation.op !== "create" ? store.idOf(key) : operation.id
        return [key, { ...operation, id, step: "sent" }]
      })
      for (const [key, sent] of batch) {
        const marked = edits(key).map((edit) => (edit.key === sent.key ? sent : edit))
        set(key, { edits: marked, notices: [] })
      }
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

  const refuseAll = (error: ApiError, batch: readonly Sent[]) => {
    const refused = culprits(error, batch)
    if (refused.length === 0) size = Math.ceil(batch.length / 2)
    const { error_code, status, detail, errors } = error
    const refusal = { error_code, status, detail, errors }
    return store.edit((edits, set) => {
      for (const [key, sent] of refused) set(key, refuse(key, edits(key), sent, refusal))
    })
  }

  const settleAll = (batch: readonly Sent[], results: readonly Result[]) =>
    store.edit((edits, set) => {
      batch.forEach(([key, sent], index) => {
        const result = results[index]
        if (result) set(key, settle(key, edits(key), sent, result))
      })
    })

  return {
    hasWork: () => store.unsent() > 0,

    /** Whether answers got lost: a fetch could bring a todo before it is known which create made it. */
    isUncertain: () =>
      [...store.allEdits()].some(([, edits]) => edits.some(({ step }) => step === "sent")),

    /** Returns false if it is not the leader any more. Throws if edits have to be sent again later. */
    send: async (): Promise<boolean> => {
      const marked = await mark()
      const isKnown = ([, { id, op }]: Sent) => op === "create" || id > 0
      const batch = marked.filter(isKnown)
      const lost = marked.filter((sent) => !isKnown(sent))
      if (lost.length > 0)
        await store.edit((edits, set) => {
          for (const [key, sent] of lost) set(key, refuse(key, edits(key), sent, gone))
        })
      // After its own suspension the leader may not be the leader any more.
      if (batch.length === 0) return true
      if (!(await held.isHeld())) return false
      try {
        const results = await request(batch)
        await settleAll(batch, results)
        size = Math.min(BATCH, size * 2)
        const passing = results.find(({ status }) => mayPass(status))
        if (passing) throw notNow(passing)
      } catch (error) {
        // A proxy takes no bodies of this size.
        if (hasCode(error, "UNEXPECTED_ANSWER") && error.status === 413 && batch.length > 1)
          size = Math.ceil(batch.length / 2)
        else if (isRefusal(error)) await refuseAll(error, batch)
        else throw error
      }
      return true
    },
  }
}
