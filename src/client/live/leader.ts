/**
 * The leader tab works for all tabs: it sends the queue, fetches changes, and follows the events.
 * Without Web Locks each tab is one; keys make what is sent twice harmless.
 *
 * It works while there are edits to send, or while the replica is behind. Then it rests or, where
 * streams are blocked, uses long polling. After any failure it pauses, longer each time, until the
 * network or the page comes back, or somebody presses a button.
 */
import { ApiError, isUnanswered, isUnauthorized } from "../errors.ts"
import type { Http } from "../http.ts"
import { abortedBy, backOff, type Held, type Platform } from "../platform.ts"
import type { Authorized, Session } from "../session.ts"
import { followEvents } from "./events.ts"
import { createFetcher } from "./fetching.ts"
import { createSender } from "./sending.ts"
import type { Store } from "./store.ts"

const REST = 60_000
/** Seconds. A proxy may ask for more than anybody wants to wait. */
const LONGEST_WAIT = 60
/** How long a request may be without an answer when the network may have changed. */
const HANGING = 1_000

export type LeaderDeps = {
  platform: Platform
  http: Http
  session: Session
  store: Store
  userId: number
}

export const lead = async (
  { platform, http, session, store, userId }: LeaderDeps,
  held: Held,
  end: AbortSignal,
) => {
  const either = abortedBy(end, held.lost)
  const { signal } = either
  const authorized: Authorized = (run) => session.authorized(run, { userId, signal })
  const sender = createSender({ http, store, authorized, held, signal })
  const fetcher = createFetcher({ platform, http, store, authorized })
  let rest = abortedBy(signal)
  let trouble = abortedBy(signal)
  let stream = abortedBy(signal)
  /** Whether it has loaded what the leader before it stored. */
  let isLoaded = false
  let isBehind = true
  let isBlocked = false
  let failures = 0
  /** Whether the pause is one that the service, or a proxy, has asked for. */
  let isAsked = false

  const wake = () => rest.abort()
  const catchUp = () => {
    isBehind = true
    wake()
  }
  const recover = () => {
    failures = 0
    trouble.abort()
    trouble = abortedBy(signal)
  }
  /** `over`: of the trouble that it waits for. It may be over before the failure is known. */
  const pause = (milliseconds: number, over = trouble.signal) => platform.sleep(milliseconds, over)
  /** All begins anew. A log-out removed the replica: after the next login it is fetched again. */
  const restart = () => {
    stream.abort()
    recover()
    catchUp()
  }
  /** What waits may wait on a network that is gone. */
  const reconnect = () => {
    http.interrupt(HANGING)
    restart()
  }

  /** Returns whether the service has answered. */
  const step = async (until: AbortSignal) => {
    if (!isLoaded) await store.loadQueue()
    isLoaded = true
    if (sender.hasWork()) {
      isBehind = true
      do
        if (!(await sender.send())) {
          await pause(HANGING)
          return false
        }
      while (sender.isUncertain())
    }
    if (isBehind) {
      // Before the fetch, because an event that arrives meanwhile sets it again.
      isBehind = false
      await fetcher.pull(signal)
    } else if (isBlocked) await fetcher.poll(until)
    else {
      await platform.sleep(REST, until)
      // Finds the edits of a tab that was closed before it could announce them.
      if (!until.aborted) await store.loadQueue()
      return false
    }
    return true
  }

  const work = async () => {
    while (!signal.aborted) {
      const resting = abortedBy(signal)
      rest = resting
      const over = trouble.signal
      try {
        if (await step(resting.signal)) store.connected({ is_online: true, is_logged_in: true })
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        // The long poll was interrupted because there is something to do.
        if (resting.signal.aborted && !(error instanceof ApiError)) continue
        isBehind = true
        const is_logged_in = !isUnauthorized(error)
        // Where nobody is logged in nothing is asked, and only the browser knows.
        const is_online =
          error instanceof ApiError && !isUnanswered(error) && (is_logged_in || platform.isOnline())
        store.connected({ is_online, is_logged_in })
        const { retry_after = 0 } = Object(error) as Partial<ApiError>
        const wait = 1000 * Math.min(retry_after, LONGEST_WAIT)
        isAsked = wait > 0
        await pause(is_logged_in ? wait + backOff(platform, failures++) : REST, over)
      } finally {
        resting.abort()
      }
    }
  }

  const onToken = (token: string) => {
    if (token !== store.syncState().token) catchUp()
  }
  const onBlocked = (next: boolean) => {
    if (next !== isBlocked) wake()
    isBlocked = next
  }
  /** Asks whether the network is gone. `isOffline`: it seems so. */
  const onLost = (isOffline: boolean) => {
    if (isOffline) store.connected({ ...store.connection(), is_online: false })
    catchUp()
  }
  platform.onEvent((event) => {
    if (event === "offline") onLost(true)
    else reconnect()
  }, signal)
  /** A request that waits since before the stream was opened hangs on another network. */
  const onOpen = (time: number) => {
    if (time < HANGING) http.interrupt(2 * HANGING)
    if (failures > 0 && !isAsked) recover()
  }
  const stops = [store.subscribe(wake), store.onRetry(reconnect), session.onChange(restart)]
  const opening = () => {
    stream = abortedBy(signal)
    return stream
  }
  const events = { onToken, onBlocked, onLost, onOpen, opening }
  store.leads(true)
  try {
    await Promise.all([
      work(),
      followEvents({ platform, http, authorized, pause, ...events }, signal),
    ])
  } finally {
    store.leads(false)
    for (const stop of stops) stop()
    either.abort()
  }
}
