/**
 * Which task runs on which connection, and when. A task is a statement or a transaction.
 *
 * A task waits, first come, first served, until there is a slot for it; it is under way from then
 * on, until its promise settles. A slot holds one connection, and is
 *   idle       while nothing is under way there;
 *   exclusive  while a task is that may take long: nothing is sent behind it;
 *   shared     while only brief tasks are, each sent behind the one before it.
 * An idle slot becomes exclusive or shared with its next task, and idle again when its last one has
 * ended. Slots are only shared while none is idle.
 */

import { ClientLeft } from "./errors.ts"

/** The number of brief tasks that may be under way on a connection. */
const PIPELINE = 8
/** A task that takes longer is not as brief as promised, perhaps because the disk is slow. */
const BRIEF_MS = 25

/** When a task began, and when it has to end, by performance.now(). */
export type Limits = { since: number; until: number }

export type Slot<Connection, Task> = {
  /** Made when it is needed. */
  connection: Connection | undefined
  /** What is under way, the oldest first. */
  tasks: ({ task: Task } & Limits)[]
  isShared: boolean
  /** When the oldest task got to the front. */
  advancedAt: number
  /** When the oldest task was cancelled. */
  cancelledAt: number | undefined
}

export type Waiter<Connection, Task> = {
  isBrief: boolean
  askedAt: number
  signal?: (() => AbortSignal) | undefined
  /** Tracks its task at once. The promise settles when the task has ended. */
  start: (slot: Slot<Connection, Task>, askedAt: number) => Promise<unknown>
  reject: (reason: unknown) => void
}

export type Scheduler<Connection, Task> = {
  slots: Slot<Connection, Task>[]
  waiting: Waiter<Connection, Task>[]
  /** How many tasks have ended so far. */
  ended(): number
  /** Starts it as soon as there is a slot. */
  schedule(waiter: Waiter<Connection, Task>): void
  /** Whether a brief task may be sent behind those that are under way there. */
  canFollow(slot: Slot<Connection, Task>): boolean
  /** The task is under way until its promise settles. */
  track(slot: Slot<Connection, Task>, task: Task, promise: Promise<unknown>, limits: Limits): void
}

type Settings<Connection, Task> = {
  size: number
  /** Whether the server is working on it. Nothing is sent behind a task that has not begun. */
  isActive: (task: Task) => boolean
  onFailure: (slot: Slot<Connection, Task>, reason: unknown) => void
}

export const createScheduler = <Connection, Task>(
  settings: Settings<Connection, Task>,
): Scheduler<Connection, Task> => {
  const slots: Slot<Connection, Task>[] = Array.from({ length: settings.size }, () => ({
    connection: undefined,
    tasks: [],
    isShared: false,
    advancedAt: 0,
    cancelledAt: undefined,
  }))
  const waiting: Waiter<Connection, Task>[] = []
  let ended = 0

  const isMoving = ({ tasks: [oldest], advancedAt }: Slot<Connection, Task>, now: number) =>
    oldest !== undefined && settings.isActive(oldest.task) && advancedAt >= now - BRIEF_MS

  /** Of the shared slots in which tasks still end, the one with the fewest. */
  const shareable = () => {
    const now = performance.now()
    let best: Slot<Connection, Task> | undefined
    let fewest = PIPELINE
    for (const slot of slots) {
      if (!slot.isShared || slot.tasks.length >= fewest || !isMoving(slot, now)) continue
      best = slot
      fewest = slot.tasks.length
    }
    return best
  }
  const assign = (isBrief: boolean) => {
    const idle = slots.find(({ tasks }) => tasks.length === 0)
    const slot = idle ?? (isBrief ? shareable() : undefined)
    if (slot) slot.isShared = isBrief
    return slot
  }

  /** First come, first served: otherwise brief tasks might keep the others waiting for ever. */
  const dispatch = () => {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const slot = assign(next.isBrief)
      if (!slot) return
      waiting.shift()
      next.start(slot, next.askedAt)
    }
  }

  /** Dropped when its client has left. */
  const wait = (waiter: Waiter<Connection, Task>) => {
    const signal = waiter.signal?.()
    if (signal?.aborted) return waiter.reject(new ClientLeft())
    waiting.push(waiter)
    signal?.addEventListener("abort", () => {
      const place = waiting.indexOf(waiter)
      if (place === -1) return
      waiting.splice(place, 1)
      waiter.reject(new ClientLeft())
    })
  }

  return {
    slots,
    waiting,
    ended: () => ended,
    schedule(waiter) {
      const slot = waiting.length === 0 ? assign(waiter.isBrief) : undefined
      if (slot) waiter.start(slot, waiter.askedAt)
      else wait(waiter)
    },
    canFollow: (slot) =>
      waiting.length === 0 &&
      slot.isShared &&
      slot.tasks.length < PIPELINE &&
      isMoving(slot, performance.now()),
    track(slot, task, promise, limits) {
      const { tasks } = slot
      const entry = { task, ...limits }
      if (tasks.length === 0) slot.advancedAt = limits.since
      tasks.push(entry)
      const end = () => {
        ended++
        if (tasks[0] === entry) {
          slot.cancelledAt = undefined
          slot.advancedAt = performance.now()
        }
        tasks.splice(tasks.indexOf(entry), 1)
        dispatch()
      }
      const fail = (reason: unknown) => {
        settings.onFailure(slot, reason)
        end()
      }
      // Not the query's own `then`, which would start it.
      Promise.prototype.then.call(promise, end, fail)
    },
  }
}
