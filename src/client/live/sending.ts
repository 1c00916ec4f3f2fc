/** Sends the queue, in batches and in order, and updates it with the answers. */
import type { Answer } from "../calls.ts"
import { ApiError } from "../errors.ts"
import type { Http } from "../http.ts"
import type { Authorized } from "../session.ts"
import type { Operation, Result } from "./model.ts"
import { markSent, nextBatch } from "./queue.ts"
import { mayPass, refuse, settle } from "./settle.ts"
import type { Store } from "./store.ts"

const TIMEOUT = 60_000
/** Matches no version: the result is a 412 with the current todo, onto which the edit is merged. */
const UNKNOWN = '"?"'

const toWire = ({ op, key, id, etag, ...operation }: Operation) => {
  if (op === "create" && "todo" in operation) return { op, key, todo: operation.todo }
  return {
    op,
    id,
    // With the key, a repeat after a lost answer does nothing, even if others reverted the update.
    ...("todo" in operation && { key, todo: operation.todo }),
    if_match: etag ?? UNKNOWN,
  }
}

/** The operations for which a batch was refused: those that the error names, or its only one. */
const culprits = (error: ApiError, batch: readonly Operation[]): readonly Operation[] => {
  const named = (error.errors ?? []).flatMap(({ pointer = "" }) => {
    const index = /^\/operations\/(\d+)/.exec(pointer)?.[1]
    return batch[Number(index)] ?? []
  })
  return named.length > 0 || batch.length > 1 ? [...new Set(named)] : batch
}

const isRefusal = (error: unknown): error is ApiError =>
  error instanceof ApiError && [400, 403, 413, 422].includes(error.status)

const notNow = ({ status, error }: Result) =>
  new ApiError({
    error_code: "SERVICE_UNAVAILABLE",
    status,
    detail: error?.detail ?? "An operation has no answer yet",
  })

type Deps = { http: Http; store: Store; authorized: Authorized; signal: AbortSignal }

export const createSender = ({ http, store, authorized, signal }: Deps) => {
  /** 1 while it is not known for which of its operations a batch was refused. */
  let size: number | undefined

  const request = async (batch: readonly Operation[]) => {
    const body = { operations: batch.map(toWire) }
    const outgoing = { method: "POST", path: "/api/v1/todos/batch", body, signal }
    const { data } = (await authorized((headers) =>
      http.once({ ...outgoing, headers }, TIMEOUT),
    )) as Answer<{ results: Result[] }>
    return data.results
  }

  const take = async () => {
    let batch: readonly Operation[] = []
    await store.change((queue) => {
      batch = nextBatch(queue, size)
      return markSent(queue, batch)
    })
    return batch
  }

  const refuseAll = async (error: ApiError, batch: readonly Operation[]) => {
    const refused = culprits(error, batch)
    size = refused.length > 0 ? undefined : 1
    const { error_code, status, detail, errors } = error
    const told = { error_code, status, detail, errors }
    await store.change((queue) =>
      refused.reduce((next, operation) => refuse(next, operation, told), queue),
    )
  }

  return {
    hasWork: () => nextBatch(store.queue(), 1).length > 0,

    /** Throws an error if edits have to be sent again later. */
    send: async () => {
      const batch = await take()
      if (batch.length === 0) return
      try {
        const results = await request(batch)
        const resultOf = (index: number) => results[index] ?? { status: 503 }
        await store.change((queue) =>
          batch.reduce((next, operation, index) => settle(next, operation, resultOf(index)), queue),
        )
        const passing = results.find(({ status }) => mayPass(status))
        if (passing) throw notNow(passing)
      } catch (error) {
        if (!isRefusal(error)) throw error
        await refuseAll(error, batch)
      }
    },
  }
}
