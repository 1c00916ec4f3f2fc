/** GET /todos/events: a stream of states, so that a client knows when there is something to fetch. */
import type { Sql } from "../../database/connection.ts"
import { findFeed } from "./queries.ts"
import type { States } from "./states.ts"
import type { Watchers } from "./watchers.ts"

export type EventsDeps = { sql: Sql; states: States; watchers: Watchers }

/** Proxies and clients take a connection on which nothing comes for broken. */
const HEARTBEAT_MS = 15_000
/** A client that takes nothing for this long, though there is something, is dropped. */
const STALLED_MS = 30_000
/** Clients of an instance that stops come back to another one, and not all at once. */
const RETRY_MS = { min: 1_000, max: 5_000 }

const HEARTBEAT = ": still here\n\n"

const stateEvent = (state: string) =>
  `event: state\nid: ${state}\ndata: ${JSON.stringify({ state })}\n\n`

const retryEvent = () =>
  `retry: ${Math.round(RETRY_MS.min + Math.random() * (RETRY_MS.max - RETRY_MS.min))}\n\n`

const encoder = new TextEncoder()

/** What is not sent yet is replaced by what is newer: many commits at once are one event. */
const createOutbox = () => {
  let text: string | undefined
  let isClosed = false
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let taken = Promise.withResolvers<void>()
  let sentAt = performance.now()

  const flush = () => {
    if (!controller) return
    if (text !== undefined) controller.enqueue(encoder.encode(text))
    else if (!isClosed) return
    if (isClosed) controller.close()
    text = undefined
    sentAt = performance.now()
    controller = undefined
    taken.resolve()
  }

  return {
    put(next: string) {
      text = next
      flush()
    },
    close(last = "") {
      text = (text ?? "") + last || undefined
      isClosed = true
      flush()
    },
    isStalled: (now: number) => text !== undefined && now - sentAt > STALLED_MS,
    isQuiet: (now: number) => text === undefined && now - sentAt > HEARTBEAT_MS,
    /** Called when the client has taken what was sent before. Resolves with the next text. */
    pull(asking: ReadableStreamDefaultController<Uint8Array>) {
      controller = asking
      taken = Promise.withResolvers()
      flush()
      return taken.promise
    },
  }
}

/** `isWelcome`: whether the caller's token is still good. */
export const eventStream = async (
  { sql, states, watchers }: EventsDeps,
  ownerId: number,
  isWelcome: () => boolean | Promise<boolean>,
) => {
  const outbox = createOutbox()
  let epoch: string | undefined
  let latest = -1

  const tell = (revision: number) => {
    if (epoch === undefined || revision <= latest) return
    latest = revision
    outbox.put(stateEvent(states.write({ kind: "complete", revision }, epoch, ownerId)))
  }

  const unwatch = watchers.watch(ownerId, {
    changed: tell,
    tick(now) {
      if (outbox.isStalled(now)) {
        unwatch()
        outbox.close()
      } else if (outbox.isQuiet(now)) outbox.put(HEARTBEAT)
    },
    isWelcome,
    closed: () => outbox.close(watchers.isDraining() ? retryEvent() : ""),
  })
  try {
    // After it is watched, so that no commit falls between.
    const feed = await findFeed(sql, ownerId)
    epoch = feed.epoch
    tell(feed.revision)
  } catch (error) {
    unwatch()
    throw error
  }
  const body = new ReadableStream({ pull: outbox.pull, cancel: unwatch }, { highWaterMark: 0 })
  return new Response(body, { headers: EVENT_STREAM })
}

const EVENT_STREAM = {
  "content-type": "text/event-stream",
  // nginx would keep events back until its buffer is full.
  "x-accel-buffering": "no",
}

/** For HEAD, which must not open one. */
export const noStream = () => new Response(null, { headers: EVENT_STREAM })
