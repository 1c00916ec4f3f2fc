/**
 * The connections to Postgres: a bounded number, shared by statements and transactions (tasks), of which
 * none waits or runs for ever.
 *
 * A task is
 *   waiting     until there is a slot for it, first come, first served. It is rejected when it has
 *               waited too long (deadlines.ts), and dropped when its client has left;
 *   under way   until it is answered, or its time is over, after which it is
 *   cancelled   and fails by the server's answer. Where none comes the server is frozen or gone: all
 *               connections are replaced, and what runs there fails;
 *   waiting     once more where the server has not run it: it did not know its statement or plan any
 *               more, refused the connection's settings, or was told to cancel another one.
 * A slot holds one connection, and is
 *   idle        while nothing is under way there;
 *   exclusive   while a task is that may take long: nothing is sent behind it;
 *   shared      while only pipelined statements are, each sent behind the one before it. That happens
 *               only while no slot is idle;
 *   blocked     while it is retired, or a cancel is on its way: nothing more is sent there.
 * A connection is
 *   unopened    until its slot has a task;
 *   open        until it is closed by either side. It is never made again: the slot gets another one;
 *   retired     with what is under way there, when it holds statements or plans that the server does not
 *               have any more, or when its host may not be written to;
 *   replaced    together with all others, where the server is frozen or another host took over.
 */

import type postgres from "postgres"
import { CONNECT_LIMIT_SECONDS, deadlineOf, enforceLimits } from "./deadlines.ts"
import {
  controlsOf,
  interceptRejection,
  interceptStart,
  isActive,
  isQuery,
  type Query,
  rejectQuery,
} from "./driver.ts"
import { ClientLeft, Unreplicated, whyRefused } from "./errors.ts"
import type { Columns, PoolState, Waiting } from "./sql.ts"

/** The number of pipelined statements that may be under way on a connection. */
const PIPELINE = 8
/** A statement that takes longer is not as short as promised, perhaps because the disk is slow. */
const SHORT_MS = 25
/** Writes to a database that stays read-only must not each open a new connection. */
const RETIRE_AFTER_MS = 1_000

type Tag = postgres.Sql<Columns>
type Connection = ReturnType<typeof controlsOf> & { tag: Tag; openedAt: number }

type Entry = {
  /** Missing for a transaction as a whole, whose statements have entries of their own. */
  query: Query | undefined
  reject: (reason: unknown) => void
  until: number
  /** A cancel that was meant for another statement may have reached this one. */
  isInCancelsWay: boolean
}

type Slot = {
  connection: Connection | undefined
  /** What is under way, the oldest first. */
  entries: Entry[]
  isShared: boolean
  isRetired: boolean
  /** When the oldest entry got to the front. */
  advancedAt: number
  /** Until its own connection is closed, and what it cancels has ended. */
  cancel: { entry: Entry; at: number; isClosed: boolean } | undefined
}

type Task = Waiting & {
  isPipelined: boolean
  askedAt: number
  start: (slot: Slot) => void
  reject: (reason: unknown) => void
}

type Hooks = {
  /** Makes all statements, and never connects. */
  maker: Tag
  /**
   * Opens a connection, and throws if there is no host. The connection calls `onClose` when it is closed,
   * and `onUnreplicatedCommit` when a commit has not reached its standby.
   */
  open: (onClose: () => void, onUnreplicatedCommit: () => void) => Tag
  /** Told what the server does not do any more, which new connections do without. */
  onRefused: (reason: "statement" | "setting", error: unknown) => void
}

export const createPool = (size: number, { maker, open, onRefused }: Hooks) => {
  const slots: Slot[] = Array.from({ length: size }, () => ({
    connection: undefined,
    entries: [],
    isShared: false,
    isRetired: false,
    advancedAt: 0,
    cancel: undefined,
  }))
  const waiting: Task[] = []
  const counts = { ended: 0, cancelled: 0, replaced: 0, answeredAt: 0 }

  const isIdle = ({ entries, cancel }: Slot) => entries.length === 0 && !cancel

  /** Nothing is sent behind a statement that has not begun. */
  const isMoving = ({ entries: [oldest], advancedAt }: Slot, now: number) =>
    oldest?.query !== undefined && isActive(oldest.query) && advancedAt >= now - SHORT_MS

  /** Of the shared slots in which statements still end, the one with the fewest. */
  const shareable = () => {
    const now = performance.now()
    let best: Slot | undefined
    let fewest = PIPELINE
    for (const slot of slots) {
      const isOpen = slot.isShared && !slot.isRetired && !slot.cancel
      if (!isOpen || slot.entries.length >= fewest || !isMoving(slot, now)) continue
      best = slot
      fewest = slot.entries.length
    }
    return best
  }
  const slotFor = (isPipelined: boolean) => {
    const slot = slots.find(isIdle) ?? (isPipelined ? shareable() : undefined)
    if (slot) slot.isShared = isPipelined
    return slot
  }

  /** First come, first served: otherwise pipelined statements might keep the others waiting for ever. */
  const dispatch = () => {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const slot = slotFor(next.isPipelined)
      if (!slot) return
      waiting.shift()
      next.start(slot)
    }
  }
  const wait = (task: Task) => {
    const signal = task.signal?.()
    if (signal?.aborted) return task.reject(new ClientLeft())
    waiting.push(task)
    signal?.addEventListener("abort", () => {
      const place = waiting.indexOf(task)
      if (place === -1) return
      waiting.splice(place, 1)
      task.reject(new ClientLeft())
    })
  }
  const schedule = (task: Task) => {
    const slot = waiting.length === 0 ? slotFor(task.isPipelined) : undefined
    if (slot) task.start(slot)
    else wait(task)
  }

  const close = (slot: Slot, seconds = 0) => {
    slot.isRetired = false
    slot.cancel = undefined
    // Rejects what is still running after that time.
    slot.connection?.tag.end({ timeout: seconds }).catch(() => {})
    slot.connection = undefined
  }
  const closeIfRetired = (slot: Slot) => {
    if (slot.isRetired && isIdle(slot)) close(slot, CONNECT_LIMIT_SECONDS)
  }
  const retire = (slot: Slot) => {
    slot.isRetired = slot.connection !== undefined
    closeIfRetired(slot)
  }

  /** Opened when it is needed: an open connection takes a third of a megabyte. */
  const connectionOf = (slot: Slot): Connection => {
    if (slot.connection) return slot.connection
    const isOwn = () => slot.connection?.tag === tag
    const tag = open(
      () => isOwn() && close(slot),
      () => {
        if (!isOwn()) return
        for (const { query, reject } of slot.entries)
          if (!query || isActive(query)) reject(new Unreplicated())
      },
    )
    slot.connection = { tag, ...controlsOf(tag), openedAt: performance.now() }
    return slot.connection
  }

  const begin = (
    slot: Slot,
    query: Query | undefined,
    reject: (reason: unknown) => void,
    until: number,
  ) => {
    const entry: Entry = { query, reject, until, isInCancelsWay: false }
    if (slot.entries.length === 0) slot.advancedAt = performance.now()
    slot.entries.push(entry)
    return entry
  }
  const end = (slot: Slot, entry: Entry) => {
    const place = slot.entries.indexOf(entry)
    if (place === -1) return
    counts.ended++
    slot.entries.splice(place, 1)
    if (place === 0) slot.advancedAt = performance.now()
    if (slot.cancel?.entry === entry && slot.cancel.isClosed) slot.cancel = undefined
    closeIfRetired(slot)
    dispatch()
  }
  /** What an error tells of the connection that it came by. */
  const learnFrom = (slot: Slot, connection: Connection | undefined, error: unknown) => {
    const why = whyRefused(error)
    if (slot.connection !== connection || why === undefined) return
    if (why === "connection") close(slot)
    else if (why === "read-only") {
      const openedAt = connection?.openedAt ?? Number.POSITIVE_INFINITY
      if (performance.now() - openedAt > RETIRE_AFTER_MS) retire(slot)
    } else if (why !== "cancel" && !slot.isRetired) {
      if (why !== "plan") onRefused(why, error)
      // The others hold the same: what is sent anew needs a connection that does not.
      for (const other of slots) retire(other)
    }
  }
  /** The entry ends when the promise settles. */
  const track = (slot: Slot, entry: Entry, promise: Promise<unknown>) => {
    const { connection } = slot
    // Not the query's own `then`, which would start it.
    Promise.prototype.then.call(
      promise,
      () => {
        counts.answeredAt = performance.now()
        end(slot, entry)
      },
      (error: unknown) => {
        learnFrom(slot, connection, error)
        end(slot, entry)
      },
    )
  }

  const NOT_RUN = ["statement", "plan", "setting"]

  const taskOf = (query: Query, isPipelined: boolean, waited: Waiting = {}): Task => {
    let current: { slot: Slot; entry: Entry } | undefined
    let isRepeated = false
    /** Once, what the server has not run is sent anew, by a connection without what it refused. */
    const isSentAnew = (error: unknown) => {
      if (!current || isRepeated) return false
      const { slot, entry } = current
      const why = whyRefused(error)
      const isInnocent = why === "cancel" && entry.isInCancelsWay
      if (!isInnocent && !NOT_RUN.includes(why ?? "")) return false
      isRepeated = true
      learnFrom(slot, slot.connection, error)
      queueMicrotask(() => {
        waiting.unshift(task)
        end(slot, entry)
      })
      return true
    }
    const task: Task = {
      ...waited,
      isPipelined,
      askedAt: waited.askedAt ?? performance.now(),
      start(slot) {
        try {
          const { start } = connectionOf(slot)
          const entry = begin(slot, query, task.reject, deadlineOf(task.askedAt))
          current = { slot, entry }
          start(query)
          track(slot, entry, query)
        } catch (error) {
          task.reject(error)
        }
      },
      reject: (reason) => rejectQuery(query, reason),
    }
    interceptRejection(query, isSentAnew)
    return task
  }

  const cancel = (slot: Slot) => {
    const [entry] = slot.entries
    if (!entry) return
    counts.cancelled++
    const active = slot.entries.find(({ query }) => query && isActive(query))
    if (!active?.query || !slot.connection) return close(slot)
    for (const other of slot.entries) other.isInCancelsWay = other !== active
    const own = { entry, at: performance.now(), isClosed: false }
    slot.cancel = own
    const closed = () => {
      own.isClosed = true
      if (slot.cancel !== own || slot.entries.includes(entry)) return
      slot.cancel = undefined
      closeIfRetired(slot)
      dispatch()
    }
    slot.connection.cancel(active.query).then(closed, closed)
  }

  const replaceConnections = () => {
    counts.replaced++
    for (const slot of slots) close(slot)
  }
  const stopEnforcing = enforceLimits({
    slots,
    waiting,
    ended: () => counts.ended,
    cancel,
    close,
    replaceConnections,
    dispatch,
  })

  return {
    /** Makes a query by `make`, which is scheduled on any connection when it is awaited. */
    limited<Made>(make: (maker: Tag) => Made, isPipelined: boolean, waited?: Waiting): Made {
      const made = make(maker)
      if (isQuery(made))
        interceptStart(made, (query) => schedule(taskOf(query, isPipelined, waited)))
      return made
    },
    /** A transaction is scheduled as one task, and has the limits of one statement. */
    begin<Result>(
      work: (
        limit: <Made>(made: Made) => Made,
        transaction: postgres.TransactionSql<Columns>,
      ) => Promise<Result>,
      { askedAt = performance.now(), signal }: Waiting = {},
    ): Promise<Result> {
      const { promise, resolve, reject } = Promise.withResolvers<Result>()
      const start = (slot: Slot) => {
        try {
          const { tag } = connectionOf(slot)
          const until = deadlineOf(askedAt)
          const whole = begin(slot, undefined, reject, until)
          const limit = <Made>(made: Made): Made => {
            if (isQuery(made)) {
              const startQuery = interceptStart(made, (query) => {
                if (slot.entries.includes(whole))
                  track(
                    slot,
                    begin(slot, query, () => {}, until),
                    query,
                  )
                startQuery(query)
              })
            }
            return made
          }
          const transaction = tag.begin("isolation level read committed", (sql) =>
            work(limit, sql),
          ) as Promise<Result>
          track(slot, whole, transaction)
          transaction.then(resolve, reject)
        } catch (error) {
          reject(error)
        }
      }
      schedule({ isPipelined: false, askedAt, signal, start, reject })
      return promise
    },
    replaceConnections,
    state: (): PoolState => ({
      size,
      busy: slots.filter(({ entries }) => entries.length > 0).length,
      waiting: waiting.length,
      ...counts,
    }),
    async end() {
      stopEnforcing()
      const timeout = CONNECT_LIMIT_SECONDS
      await Promise.all(slots.map(({ connection }) => connection?.tag.end({ timeout })))
    },
  }
}
