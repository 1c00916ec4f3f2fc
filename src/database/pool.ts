/**
 * The connections to Postgres: a bounded number, shared by statements and transactions (tasks), of which
 * none waits or runs for ever.
 *
 * A task is
 *   waiting     until there is a slot for it, first come, first served. It is rejected when it has
 *               waited too long, and dropped when its client has left;
 *   under way   until it is answered, or its time is over, after which it is
 *   cancelled   and fails by the server's response. Where none comes the server is frozen or gone: all
 *               connections are replaced, and what runs there fails;
 *   waiting     once more where the server has not run it: it did not know its statement or plan any
 *               more, refused the connection's settings, or was asked to cancel another one.
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
import { ClientLeft } from "../concurrency/limiter.ts"
import {
  controlsOf,
  interceptRejection,
  interceptStart,
  isActive,
  isQuery,
  type Query,
  rejectQuery,
  textOf,
} from "./driver.ts"
import { poolExhausted, unreplicated, whyRefused } from "./errors.ts"
import type { Columns, PoolState, Waiting } from "./sql.ts"

/** The number of pipelined statements that may be under way on a connection. */
const PIPELINE = 8
/** A statement that takes longer is not as short as promised, perhaps because the disk is slow. */
const SHORT_MS = 25
/** Writes to a database that stays read-only must not each open a new connection. */
const RETIRE_AFTER_MS = 1_000

/** A client must get a response within five seconds: so much for waiting, running, and both. */
const WAIT_LIMIT_MS = 3_500
/** So long while nothing ends: then waiting is in vain. */
const STALL_LIMIT_MS = 1_250
const RUN_LIMIT_MS = 2_750
const LIMIT_MS = 4_000
const CANCEL_LIMIT_MS = 500
const SWEEP_MS = 100
/** Less than a statement's limit, so that connecting fails before the statement does. */
export const CONNECT_LIMIT_SECONDS = 2
/** What takes longer is reported. */
const SLOW_MS = 250

type Tag = postgres.Sql<Columns>
type Connection = ReturnType<typeof controlsOf> & { tag: Tag; openedAt: number }

type Task = Pick<Waiting, "signal"> & {
  /** Of a transaction the statement that was sent last. */
  query?: Query | undefined
  isPipelined: boolean
  askedAt: number
  /** Sends it. The promise settles when it has ended. */
  start: (connection: Connection) => Promise<unknown>
  reject: (reason: unknown) => void
  /** Its client, if it had to wait. */
  client?: AbortSignal | undefined
  begunAt: number
  ended?: Promise<unknown>
  /** A cancel that was meant for another statement may have reached this one. */
  isInCancelsWay?: boolean
  /** Why the server has not run it so far. */
  refusals?: Set<ReturnType<typeof whyRefused>>
}

type Slot = {
  connection: Connection | undefined
  /** What is under way, the oldest first. */
  tasks: Task[]
  isRetired: boolean
  /** When the oldest task got to the front. */
  advancedAt: number
  /** Until its own connection is closed, and what it cancels has ended. */
  cancel: { task: Task; at: number } | undefined
}

type Hooks = {
  /** Makes all statements, and never connects. */
  maker: Tag
  /**
   * Opens a connection, and throws if there is no host. The connection calls `onClose` when it is closed,
   * and `onUnreplicatedCommit` when a commit has not reached its standby.
   */
  open: (onClose: () => void, onUnreplicatedCommit: () => void) => Tag
  /** Notified of what the server does not do any more, which new connections do without. Whether that is news. */
  onRefused: (reason: "statement" | "setting", error: unknown) => boolean
  onSlow: (text: string | undefined, ms: number) => void
  /** A cancel was not answered in time: if it was that of a commit, nobody hears whether that is there. */
  onUnanswered: () => void
}

export const createPool = (size: number, { maker, open, ...hooks }: Hooks) => {
  const slots: Slot[] = Array.from({ length: size }, () => ({
    connection: undefined,
    tasks: [],
    isRetired: false,
    advancedAt: 0,
    cancel: undefined,
  }))
  let waiting: Task[] = []
  /** When a task ended last. */
  let endedAt = 0
  const counts = { ended: 0, cancelled: 0, replaced: 0, answeredAt: 0 }

  const isIdle = ({ tasks, cancel }: Slot) => tasks.length === 0 && !cancel

  /** Nothing is sent behind a statement that has not begun. */
  const isOpen = ({ tasks: [oldest], advancedAt, isRetired, cancel }: Slot, now: number) =>
    oldest?.query &&
    oldest.isPipelined &&
    isActive(oldest.query) &&
    advancedAt >= now - SHORT_MS &&
    !isRetired &&
    !cancel

  /** Of the shared slots in which statements still end, the one with the fewest. */
  const shareable = () => {
    const now = performance.now()
    let best: Slot | undefined
    let fewest = PIPELINE
    for (const slot of slots)
      if (slot.tasks.length < fewest && isOpen(slot, now)) {
        best = slot
        fewest = slot.tasks.length
      }
    return best
  }
  const slotFor = ({ isPipelined }: Task) =>
    slots.find(isIdle) ?? (isPipelined ? shareable() : undefined)

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
        for (const { isPipelined, query, reject } of slot.tasks)
          if (!isPipelined || (query && isActive(query))) reject(unreplicated())
      },
    )
    slot.connection = { tag, ...controlsOf(tag), openedAt: performance.now() }
    return slot.connection
  }

  /** What an error tells of the connection that it came by. */
  const learnFrom = (slot: Slot, connection: Connection | undefined, error: unknown) => {
    const why = whyRefused(error)
    if (slot.connection !== connection || why === undefined) return
    if (why === "connection") close(slot)
    else if (why === "read-only") {
      const openedAt = connection?.openedAt ?? Number.POSITIVE_INFINITY
      if (performance.now() - openedAt > RETIRE_AFTER_MS) retire(slot)
    } else if (why !== "cancel") {
      const isNew = why !== "plan" && hooks.onRefused(why, error)
      // The others hold the same: what is sent anew needs a connection that does not.
      if (isNew || !slot.isRetired) for (const other of slots) retire(other)
    }
  }

  const reportSlow = (query: Query | undefined, ms: number) => {
    if (query && ms > SLOW_MS) hooks.onSlow(textOf(query), ms)
  }
  const end = (slot: Slot, task: Task) => {
    const place = slot.tasks.indexOf(task)
    if (place === -1) return
    endedAt = performance.now()
    counts.ended++
    slot.tasks.splice(place, 1)
    if (place === 0) {
      reportSlow(task.query, endedAt - slot.advancedAt)
      slot.advancedAt = endedAt
    }
    closeIfRetired(slot)
    dispatch()
  }
  /** Puts it into the slot, until the promise of `start` settles. */
  const run = (slot: Slot, task: Task) => {
    try {
      const connection = connectionOf(slot)
      task.begunAt = performance.now()
      if (slot.tasks.length === 0) slot.advancedAt = task.begunAt
      slot.tasks.push(task)
      // Not the query's own `then`, which would start it.
      task.ended = Promise.prototype.then.call(
        task.start(connection),
        () => {
          counts.answeredAt = performance.now()
          end(slot, task)
        },
        (error: unknown) => {
          learnFrom(slot, connection, error)
          end(slot, task)
        },
      )
    } catch (error) {
      task.reject(error)
      end(slot, task)
    }
  }

  /** First come, first served: otherwise pipelined statements might keep the others waiting for ever. */
  const dispatch = () => {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const hasLeft = next.client?.aborted
      const slot = hasLeft ? undefined : slotFor(next)
      if (!slot && !hasLeft) return
      waiting.shift()
      if (slot) run(slot, next)
      else next.reject(new ClientLeft())
    }
  }
  const schedule = (task: Task) => {
    const slot = waiting.length === 0 ? slotFor(task) : undefined
    if (slot) return run(slot, task)
    task.client = task.signal?.()
    waiting.push(task)
  }
  const dropWaiting = (now: number) => {
    const isLate = ({ askedAt }: Task) =>
      now - askedAt > WAIT_LIMIT_MS || now - Math.max(askedAt, endedAt) > STALL_LIMIT_MS
    const all = waiting
    waiting = []
    for (const task of all)
      if (task.client?.aborted) task.reject(new ClientLeft())
      else if (isLate(task)) task.reject(poolExhausted())
      else waiting.push(task)
  }

  /** Once for each reason, what the server has not run is sent anew, by a connection without what it refused. */
  const sendAnew = (task: Task, error: unknown) => {
    const slot = slots.find(({ tasks }) => tasks.includes(task))
    const why = whyRefused(error)
    const isInnocent = why === "cancel" && task.isInCancelsWay
    const isRun = !isInnocent && why !== "statement" && why !== "plan" && why !== "setting"
    task.refusals ??= new Set()
    if (!slot || isRun || task.refusals.has(why)) return false
    task.refusals.add(why)
    learnFrom(slot, slot.connection, error)
    queueMicrotask(() => {
      waiting.unshift(task)
      end(slot, task)
    })
    return true
  }

  const cancel = (slot: Slot, task: Task) => {
    counts.cancelled++
    const active = slot.tasks.find(({ query }) => query && isActive(query))
    if (!active?.query || !slot.connection) return close(slot)
    for (const other of slot.tasks) other.isInCancelsWay = other !== active
    const own = { task, at: performance.now() }
    slot.cancel = own
    Promise.allSettled([slot.connection.cancel(active.query), task.ended]).then(() => {
      if (slot.cancel !== own) return
      slot.cancel = undefined
      closeIfRetired(slot)
      dispatch()
    })
  }
  const replaceConnections = () => {
    counts.replaced++
    for (const slot of slots) close(slot)
  }
  const isOverdue = ({ askedAt, begunAt }: Task, now: number) =>
    now > Math.min(begunAt + RUN_LIMIT_MS, askedAt + LIMIT_MS)
  const sweep = () => {
    const now = performance.now()
    dropWaiting(now)
    for (const slot of slots) {
      const [oldest] = slot.tasks
      if (!slot.cancel) {
        if (oldest && isOverdue(oldest, now)) cancel(slot, oldest)
      } else if (now - slot.cancel.at > CANCEL_LIMIT_MS) {
        // A cancel that is still on its way must not reach the next statement there.
        if (slot.cancel.task !== oldest) close(slot)
        else {
          hooks.onUnanswered()
          return replaceConnections()
        }
      }
    }
    dispatch()
  }
  const sweeper = setInterval(sweep, SWEEP_MS)
  sweeper.unref()

  return {
    /** Makes a query by `make`, which is scheduled on any connection when it is awaited. */
    limited<Made>(make: (maker: Tag) => Made, isPipelined: boolean, waited: Waiting = {}): Made {
      const made = make(maker)
      if (isQuery(made))
        interceptStart(made, (query) => {
          const { askedAt = performance.now(), signal } = waited
          const start = (connection: Connection) => {
            connection.start(query)
            return query
          }
          const reject = (reason: unknown) => rejectQuery(query, reason)
          const task: Task = { query, isPipelined, askedAt, signal, start, reject, begunAt: 0 }
          interceptRejection(query, (error) => sendAnew(task, error))
          schedule(task)
        })
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
      const limit = <Made>(made: Made): Made => {
        if (isQuery(made)) {
          const startQuery = interceptStart(made, (query) => {
            const startedAt = performance.now()
            const report = () => reportSlow(query, performance.now() - startedAt)
            task.query = query
            startQuery(query)
            Promise.prototype.then.call(query, report, report)
          })
        }
        return made
      }
      const start = ({ tag }: Connection) => {
        const transaction = tag
          .begin("isolation level read committed", (sql) => work(limit, sql) as Promise<unknown>)
          .finally(() => {
            task.query = undefined
          }) as Promise<Result>
        transaction.then(resolve, reject)
        return transaction
      }
      const task: Task = { isPipelined: false, askedAt, signal, start, reject, begunAt: 0 }
      schedule(task)
      return promise
    },
    replaceConnections,
    state: (): PoolState => ({
      size,
      busy: slots.filter(({ tasks }) => tasks.length > 0).length,
      waiting: waiting.length,
      ...counts,
    }),
    async end() {
      clearInterval(sweeper)
      const timeout = CONNECT_LIMIT_SECONDS
      await Promise.all(slots.map(({ connection }) => connection?.tag.end({ timeout })))
    },
  }
}
