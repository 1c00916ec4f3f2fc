/**
 * The leader tab works for all tabs: it sends the queue, fetches changes, and follows the events.
 *
 * It works while there are edits to send, or while the copy is behind. Then it rests or, where
 * streams are blocked, uses long polling. After a failure it pauses, longer each time.
 */
import { ApiError, isUnauthorized } from "../errors.ts"
import { anySignal, type Http } from "../http.ts"
import { backOff, type Platform } from "../platform.ts"
import type { Authorized, Session } from "../session.ts"
import { followEvents } from "./events.ts"
import { createFetcher } from "./fetching.ts"
import { createSender } from "./sending.ts"
import type { Store } from "./store.ts"

const REST = 60_000

export type LeaderDeps = {
  platform: Platform
  http: Http
  session: Session
  store: Store
  userId: number
}

export const lead = async (
  { platform, http, session, store, userId }: LeaderDeps,
  signal: AbortSignal,
) => {
  const authorized: Authorized = (run) => session.authorized(run, { userId, signal })
  const sender = createSender({ http, store, authorized, signal })
  const fetcher = createFetcher({ platform, http, store, authorized })
  let rest = new AbortController()
  let trouble = new AbortController()
  /** Whether it has loaded what the leader before it stored. */
  let isLoaded = false
  let isBehind = true
  let isBlocked = false

  const wake = () => rest.abort()
  const recover = () => {
    trouble.abort()
    trouble = new AbortController()
  }
  const pause = (milliseconds: number) =>
    platform.sleep(milliseconds, anySignal(signal, trouble.signal))

  const step = async (until: AbortSignal) => {
    if (!isLoaded) await store.load()
    isLoaded = true
    if (sender.hasWork()) {
      isBehind = true
      await sender.send()
    }
    if (isBehind) {
      // Before the fetch, because an event that arrives meanwhile sets it again.
      isBehind = false
      await fetcher.pull(signal)
    } else if (isBlocked) await fetcher.poll(until)
    else {
      await platform.sleep(REST, until)
      // Finds the edits of a tab that was closed before it could announce them.
      if (!until.aborted) await store.load()
    }
  }

  const work = async () => {
    let failures = 0
    while (!signal.aborted) {
      const resting = new AbortController()
      rest = resting
      try {
        await step(anySignal(signal, resting.signal))
        failures = 0
        store.connected({ is_online: true, is_logged_in: true })
      } catch (error) {
        if (signal.aborted) return
        if (resting.signal.aborted && !(error instanceof ApiError)) continue
        isBehind = true
        const is_logged_in = !isUnauthorized(error)
        const is_online = !(error instanceof ApiError && error.status === 0)
        store.connected({ is_online, is_logged_in })
        const after = error instanceof ApiError ? (error.retry_after ?? 0) : 0
        await pause(is_logged_in ? 1000 * after + backOff(platform, failures++) : REST)
      }
    }
  }

  /** A log-out removed the copy: after the next login it is fetched anew. */
  const onSession = () => {
    isBehind = true
    wake()
    recover()
  }
  const stops = [store.subscribe(wake), platform.onOnline(recover), session.onChange(onSession)]
  const onState = (state: string) => {
    if (state === store.copy().state) return
    isBehind = true
    wake()
  }
  const onBlocked = (next: boolean) => {
    if (next !== isBlocked) wake()
    isBlocked = next
  }
  const given = { platform, http, authorized, pause, onState, onBlocked }
  try {
    await Promise.all([work(), followEvents(given, signal)])
  } finally {
    for (const stop of stops) stop()
  }
}
