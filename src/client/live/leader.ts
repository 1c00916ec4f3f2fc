/**
 * What one of all tabs does for all: it sends the queue, fetches what changed, and follows the
 * events. It rests while there is nothing new, and pauses, longer each time, after a failure.
 */
import type { Answer } from "../calls.ts"
import { ApiError, isUnauthorized } from "../errors.ts"
import { anySignal, type Http } from "../http.ts"
import { backOff, type Platform } from "../platform.ts"
import type { Session } from "../session.ts"
import { followEvents } from "./events.ts"
import { type Changes, changesPath, type Operation, type Result } from "./model.ts"
import { markSent, nextBatch, savedKeys } from "./queue.ts"
import { mayPass, refuse, settle } from "./settle.ts"
import type { Store } from "./store.ts"

/** Seconds that an answer may wait for a change, where no stream passes. */
const WAIT = 30
const POLL = 10_000
const REST = 60_000
const BATCH_TIMEOUT = 60_000
/** Matches no version: the answer is then the current one, onto which the edit is merged. */
const UNKNOWN = '"?"'

export type LeaderDeps = {
  platform: Platform
  http: Http
  session: Session
  store: Store
  userId: number
}

const toWire = ({ op, key, id, etag, ...operation }: Operation) => {
  if (op === "create" && "todo" in operation) return { op, key, todo: operation.todo }
  return { op, id, ...("todo" in operation && { todo: operation.todo }), if_match: etag ?? UNKNOWN }
}

/** What a whole batch was refused for: the operations that its pointers name. */
const culprits = (error: ApiError, batch: Operation[]): Operation[] => {
  const named = (error.errors ?? []).flatMap(({ pointer = "" }) => {
    const index = /^\/operations\/(\d+)/.exec(pointer)?.[1]
    return batch[Number(index)] ?? []
  })
  return named.length > 0 || batch.length > 1 ? [...new Set(named)] : batch
}

const isRefusal = (error: unknown) =>
  error instanceof ApiError && [400, 403, 413, 422].includes(error.status)

export const lead = async (deps: LeaderDeps, signal: AbortSignal) => {
  const { platform, http, session, store, userId } = deps
  let rest = new AbortController()
  let trouble = new AbortController()
  let behind = true
  let isBlocked = false
  /** One at a time while it is not known which operation is refused. */
  let batchSize: number | undefined

  const wake = () => rest.abort()
  const recover = () => {
    trouble.abort()
    trouble = new AbortController()
  }
  const pause = (milliseconds: number) =>
    platform.sleep(milliseconds, anySignal(signal, trouble.signal))
  const authorized = <T>(run: (headers: Record<string, string>) => Promise<T>) =>
    session.authorized(run, userId)

  const send = async () => {
    let batch: Operation[] = []
    await store.change((queue) => {
      batch = nextBatch(queue, batchSize)
      return markSent(queue, batch)
    })
    if (batch.length === 0) return
    try {
      const outgoing = {
        method: "POST",
        path: "/api/v1/todos/batch",
        body: { operations: batch.map(toWire) },
        signal,
      }
      const { data } = (await authorized((headers) =>
        http.once({ ...outgoing, headers }, BATCH_TIMEOUT),
      )) as Answer<{ results: Result[] }>
      const { results } = data
      await store.change((queue) =>
        batch.reduce(
          (next, operation, index) => settle(next, operation, results[index] ?? { status: 503 }),
          queue,
        ),
      )
      const passing = results.find(({ status }) => mayPass(status))
      if (passing) throw retryLater(passing)
    } catch (error) {
      if (!(error instanceof ApiError) || !isRefusal(error)) throw error
      const refused = culprits(error, batch)
      batchSize = refused.length > 0 ? undefined : 1
      const { error_code, status, detail, errors } = error
      await store.change((queue) =>
        refused.reduce(
          (next, operation) => refuse(next, operation, { error_code, status, detail, errors }),
          queue,
        ),
      )
    }
  }

  const fetchChanges = async (
    since: string | undefined,
    preference: Record<string, string>,
    until: AbortSignal,
  ) => {
    const outgoing = { method: "GET", path: changesPath(since), signal: until }
    const { data } = await authorized((headers) =>
      http.once({ ...outgoing, headers: { ...headers, ...preference } }, 2000 * WAIT),
    )
    return data as Changes
  }

  /** `preference`: of the first page. */
  const pull = async (until: AbortSignal, preference: Record<string, string> = {}) => {
    const saved = savedKeys(store.queue())
    const copy = store.copy()
    let since = copy.state
    let entries = new Map(since === undefined ? [] : copy.entries)
    let first = true
    let isNew = saved.size > 0
    for (;;) {
      try {
        const page = await fetchChanges(since, first ? preference : {}, until)
        for (const { id, etag, todo } of page.changes)
          if (todo && etag !== null) entries.set(id, { todo, etag })
          else entries.delete(id)
        isNew ||= page.changes.length > 0 || page.next !== copy.state
        since = page.next
        if (page.has_more) first = false
        else {
          if (isNew) await store.replace({ state: since, entries }, saved)
          return isNew
        }
      } catch (error) {
        // Too old, or of a secret that is not known any more: from the beginning.
        const isLost = error instanceof ApiError && (error.status === 410 || error.status === 400)
        if (!isLost || since === undefined) throw error
        since = undefined
        entries = new Map()
      }
    }
  }

  /** Where no stream passes: answers that wait, or where those do not either, now and then. */
  const poll = async (until: AbortSignal) => {
    const started = performance.now()
    const isNew = await pull(until, { prefer: `wait=${WAIT}` })
    const waited = performance.now() - started
    if (!isNew) await platform.sleep((0.5 + platform.random()) * POLL - waited, until)
  }

  const step = async (until: AbortSignal) => {
    if (nextBatch(store.queue(), 1).length > 0) {
      behind = true
      await send()
    }
    if (behind) {
      await pull(signal)
      behind = false
    } else if (isBlocked) await poll(until)
    else {
      await platform.sleep(REST, until)
      // What a tab left there that ended before it could tell.
      if (!until.aborted) await store.load()
    }
  }

  const work = async () => {
    let failures = 0
    while (!signal.aborted) {
      rest = new AbortController()
      const mine = rest
      try {
        await step(anySignal(signal, mine.signal))
        failures = 0
        store.connected({ is_online: true, is_logged_in: true })
      } catch (error) {
        if (signal.aborted) return
        if (mine.signal.aborted && !(error instanceof ApiError)) continue
        behind = true
        const is_logged_in = !isUnauthorized(error)
        store.connected({
          is_online: !(error instanceof ApiError && error.status === 0),
          is_logged_in,
        })
        const after = error instanceof ApiError ? (error.retry_after ?? 0) : 0
        await pause(is_logged_in ? 1000 * after + backOff(platform, failures++) : REST)
      }
    }
  }

  await store.load()
  const stops = [store.subscribe(wake), platform.onOnline(recover), session.onChange(recover)]
  const events = followEvents(
    {
      platform,
      http,
      authorized,
      pause,
      onState: (state) => {
        if (state === store.copy().state) return
        behind = true
        wake()
      },
      onBlocked: (next) => {
        if (next !== isBlocked) wake()
        isBlocked = next
      },
    },
    signal,
  )
  await Promise.all([work(), events])
  for (const stop of stops) stop()
}

const retryLater = ({ status, error }: Result) =>
  new ApiError(error ?? { error_code: "SERVICE_UNAVAILABLE", status, detail: "Not now" })
