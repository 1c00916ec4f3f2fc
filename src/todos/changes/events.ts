/** GET /todos/events: a stream of sync tokens, by which clients know when to fetch changes. */
import type { Sql } from "../../database/sql.ts"
import type { Client } from "../../http/client-address.ts"
import type { AnyCaller } from "../../http/guard.ts"
import { findHead } from "./queries.ts"
import type { Head, SyncTokens } from "./sync-token.ts"
import type { Watcher, Watchers } from "./watchers.ts"

export type EventsDeps = { sql: Sql; syncTokens: SyncTokens; watchers: Watchers }

/** Proxies and clients close connections on which nothing is sent. With the next tick it is 15 seconds. */
const HEARTBEAT_MS = 14_000
/** A connection is closed if nothing could be sent for this long, not even a heartbeat. */
const IDLE_SECONDS = 30
/** Random, so that the clients of an instance that stops do not all come back at once. */
const RETRY_MS = { min: 1_000, max: 5_000 }

const HEARTBEAT = ": still here\n\n"

const stateEvent = (token: string) =>
  `event: state\nid: ${token}\ndata: ${JSON.stringify({ state: token })}\n\n`

const retryEvent = () =>
  `retry: ${Math.round(RETRY_MS.min + Math.random() * (RETRY_MS.max - RETRY_MS.min))}\n\n`

const encoder = new TextEncoder()

/**
 * An event that could not be sent yet is replaced by a newer one, so that many commits become one event. A
 * class, because there may be thousands of streams, and closures would take twice the memory.
 */
class EventStream implements Watcher {
  readonly body: ReadableStream<Uint8Array>
  epoch: string | undefined
  private latest = -1
  private text: string | undefined
  private isClosed = false
  /** Defined while the client has read everything, and waits for more. */
  private asking: ReadableStreamDefaultController<Uint8Array> | undefined
  private sentAt = performance.now()

  constructor(
    private readonly deps: EventsDeps,
    readonly caller: AnyCaller,
  ) {
    this.body = new ReadableStream(this, { highWaterMark: 0 })
  }

  /** There may have been commits since the head was read. */
  begin({ epoch, revision }: Head) {
    this.epoch = epoch
    this.putState(Math.max(this.latest, revision))
  }

  committed(revision: number) {
    if (revision > this.latest) this.putState(revision)
  }

  private putState(revision: number) {
    this.latest = revision
    const { deps, caller, epoch } = this
    if (epoch === undefined) return
    const checkpoint = { kind: "complete", revision } as const
    this.put(stateEvent(deps.syncTokens.write(checkpoint, epoch, caller.userId)))
  }

  tick(now: number) {
    if (this.text === undefined && now - this.sentAt > HEARTBEAT_MS) this.put(HEARTBEAT)
  }

  closed() {
    const last = this.deps.watchers.isDraining() ? retryEvent() : ""
    this.text = (this.text ?? "") + last || undefined
    this.isClosed = true
    this.flush()
  }

  /** Called by the body, when the client has read everything. */
  pull(asking: ReadableStreamDefaultController<Uint8Array>) {
    this.asking = asking
    this.flush()
  }

  /** Called by the body, when the client has left. */
  cancel() {
    // It may be asked just now whether the token is still valid: nobody is there to be notified.
    this.asking = undefined
    this.deps.watchers.unwatch(this)
  }

  private put(text: string) {
    // Closed while its head was read: what it says last is not replaced.
    this.text = this.isClosed ? text + (this.text ?? "") : text
    this.flush()
  }

  private flush() {
    const { asking, text } = this
    if (!asking || (text === undefined && !this.isClosed)) return
    this.asking = undefined
    this.text = undefined
    this.sentAt = performance.now()
    if (text !== undefined) asking.enqueue(encoder.encode(text))
    if (this.isClosed) asking.close()
  }
}

export const eventStream = async (
  deps: EventsDeps,
  caller: AnyCaller,
  client: Pick<Client, "closeAfter">,
) => {
  const stream = new EventStream(deps, caller)
  deps.watchers.watch(stream)
  try {
    // Read after watching has begun, so that no commit is missed.
    stream.begin(await findHead(deps.sql, caller.userId))
  } catch (error) {
    stream.cancel()
    throw error
  }
  client.closeAfter(IDLE_SECONDS)
  return new Response(stream.body, { headers: EVENT_STREAM })
}

const EVENT_STREAM = {
  "content-type": "text/event-stream",
  // Afterwards it would be closed sooner than proxies expect of one that they keep.
  connection: "close",
  // Otherwise nginx would hold events back until its buffer is full.
  "x-accel-buffering": "no",
}

/** For HEAD, which must not open a stream. */
export const noStream = () => new Response(null, { headers: EVENT_STREAM })
