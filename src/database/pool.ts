/**
 * The connections to Postgres: a bounded number, and no statement that waits or runs for ever.
 *
 * A statement (and a transaction, as a whole) is
 *   waiting    until the scheduler, or its lane, has a connection for it. It is rejected when it
 *              has waited for WAIT_LIMIT_MS, or when nothing has moved for STALL_LIMIT_MS;
 *   running    until it is answered, or for RUN_LIMIT_MS, after which it is
 *   cancelled  and fails by the server's answer. Where none comes within CANCEL_LIMIT_MS the server
 *              is frozen or gone: all connections are replaced, and what runs there fails.
 * A connection is
 *   unopened   until its slot has a task;
 *   open       until the driver finds it closed, and makes it again for the next task;
 *   retired    when a task there was told that it may not write: the host is no primary any more;
 *   replaced   together with all others, where the server is frozen or another host took over.
 * The slot of one that was retired or replaced is unopened again.
 */

import { CONNECT_LIMIT_SECONDS, enforceLimits, LIMIT_SECONDS, limitsOf } from "./deadlines.ts"
import {
  cancelQuery,
  interceptStart,
  isActive,
  isQuery,
  type Query,
  rejectQuery,
  starterOf,
} from "./driver.ts"
import { isReadOnly, Unreplicated } from "./errors.ts"
import { createLanes } from "./pool-lanes.ts"
import { createScheduler, type Slot, type Waiter } from "./pool-scheduler.ts"
import type { PoolState, Waiting } from "./sql.ts"

/** Writes to a database that stays read-only must not each open a new connection. */
const RETIRE_AFTER_MS = 1_000

/** The part of postgres.js that the pool uses, with one connection. */
type Instance<Transaction> = {
  unsafe(text: string): Promise<unknown>
  begin<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<unknown>
  end(options: { timeout: number }): Promise<void>
}

type Opened<Tag> = { tag: Tag; start: (query: Query) => void; openedAt: number }
type Transacting = { reject: (reason: unknown) => void }
type Task = Query | Transacting

const isTaskActive = (task: Task) => isQuery(task) && isActive(task)

/**
 * `maker` makes all statements, and never connects. `open` opens a connection, and throws if there is no
 * host. The connection calls `onUnreplicatedCommit` when a commit has not reached its standby.
 */
export const createPool = <Transaction, Tag extends Instance<Transaction>>(
  size: number,
  maker: Tag,
  open: (onUnreplicatedCommit: () => void) => Tag,
) => {
  type PoolSlot = Slot<Opened<Tag>, Task>
  const counts = { cancelled: 0, replaced: 0 }

  const close = (slot: PoolSlot, seconds: number) => {
    slot.cancelledAt = undefined
    // Rejects what is still running after that time. The sockets of a frozen server close later.
    slot.connection?.tag.end({ timeout: seconds }).catch(() => {})
    slot.connection = undefined
  }
  const retireReadOnly = (slot: PoolSlot, reason: unknown) => {
    const openedAt = slot.connection?.openedAt ?? Number.POSITIVE_INFINITY
    if (isReadOnly(reason) && performance.now() - openedAt > RETIRE_AFTER_MS)
      close(slot, LIMIT_SECONDS)
  }
  const scheduler = createScheduler<Opened<Tag>, Task>({
    size,
    isActive: isTaskActive,
    onFailure: retireReadOnly,
  })
  const { slots, waiting, schedule, track } = scheduler
  const lanes = createLanes(scheduler)

  /** Opened when it is needed: an open connection takes a third of a megabyte. */
  const connectionOf = (slot: PoolSlot): Opened<Tag> => {
    if (slot.connection) return slot.connection
    const tag = open(() => {
      if (slot.connection?.tag !== tag) return
      for (const { task } of slot.tasks)
        if (!isQuery(task)) task.reject(new Unreplicated())
        else if (isActive(task)) rejectQuery(task, new Unreplicated())
    })
    slot.connection = { tag, start: starterOf(tag), openedAt: performance.now() }
    return slot.connection
  }

  const waiterFor = (
    query: Query,
    isBrief: boolean,
    { askedAt = performance.now(), signal }: Waiting = {},
  ): Waiter<Opened<Tag>, Task> => ({
    isBrief,
    askedAt,
    signal,
    start(slot, askedAt) {
      try {
        connectionOf(slot).start(query)
        track(slot, query, query, limitsOf(askedAt))
      } catch (error) {
        rejectQuery(query, error)
      }
      return query
    },
    reject: (reason) => rejectQuery(query, reason),
  })
  const scheduleBrief = (query: Query) => schedule(waiterFor(query, true))
  const scheduleExclusive = (query: Query) => schedule(waiterFor(query, false))

  const cancel = (slot: PoolSlot) => {
    counts.cancelled++
    for (const { task } of slot.tasks) if (isQuery(task)) cancelQuery(task)
  }

  const replaceConnections = () => {
    counts.replaced++
    for (const slot of slots) close(slot, 0)
  }
  const stopEnforcing = enforceLimits(scheduler, lanes, cancel, replaceConnections)

  return {
    /** Makes a query by `make`, which is scheduled on any connection when it is awaited. */
    limited<Made>(make: (maker: Tag) => Made, isBrief: boolean, waiting?: Waiting): Made {
      const made = make(maker)
      if (isQuery(made))
        interceptStart(
          made,
          waiting
            ? (query) => schedule(waiterFor(query, isBrief, waiting))
            : isBrief
              ? scheduleBrief
              : scheduleExclusive,
        )
      return made
    },
    /** Like `limited`, but in the lane of the key, behind earlier queries with the same key. */
    inLane<Made>(key: number, make: (maker: Tag) => Made, isBrief: boolean): Made {
      const made = make(maker)
      if (isQuery(made))
        interceptStart(made, (query) => lanes.schedule(key, waiterFor(query, isBrief)))
      return made
    },
    /** A transaction is scheduled as one task, and has the limits of one statement. */
    begin<Result>(
      work: (limit: <Made>(made: Made) => Made, transaction: Transaction) => Promise<Result>,
      { askedAt = performance.now(), signal }: Waiting = {},
    ): Promise<Result> {
      const { promise, resolve, reject } = Promise.withResolvers<Result>()
      const start = (slot: PoolSlot, askedAt: number) => {
        const limits = limitsOf(askedAt)
        const limit = <Made>(made: Made): Made => {
          if (isQuery(made)) {
            const startQuery = interceptStart(made, (query) => {
              track(slot, query, query, limits)
              startQuery(query)
            })
          }
          return made
        }
        try {
          const { tag } = connectionOf(slot)
          const transaction = tag.begin((sql) => work(limit, sql)) as Promise<Result>
          track(slot, { reject }, transaction, limits)
          transaction.then(resolve, reject)
        } catch (error) {
          reject(error)
        }
        return promise
      }
      schedule({ isBrief: false, askedAt, signal, start, reject })
      return promise
    },
    replaceConnections,
    state: (): PoolState => ({
      size,
      busy: slots.filter(({ tasks }) => tasks.length > 0).length,
      waiting: lanes.queues().reduce((count, { length }) => count + length, waiting.length),
      ended: scheduler.ended(),
      ...counts,
    }),
    async end() {
      stopEnforcing()
      const timeout = CONNECT_LIMIT_SECONDS
      await Promise.all(slots.map(({ connection }) => connection?.tag.end({ timeout })))
    },
  }
}
