/** Limits how long statements wait and run. */
import { PoolExhausted } from "./errors.ts"
import type { Lanes } from "./pool-lanes.ts"
import type { Limits, Scheduler, Waiter } from "./pool-scheduler.ts"

/** A client must get an answer within five seconds, including both waiting and running. */
const LIMIT_MS = 4_000
const WAIT_LIMIT_MS = 3_500
const RUN_LIMIT_MS = 2_750
const STALL_LIMIT_MS = 1_250
const CANCEL_LIMIT_MS = 500
const SWEEP_MS = 100

/** After this time everything that runs now has ended. */
export const LIMIT_SECONDS = LIMIT_MS / 1_000
/** Less than a statement's limit, so that connecting fails before the statement does. */
export const CONNECT_LIMIT_SECONDS = 2

export const limitsOf = (askedAt: number): Limits => {
  const since = performance.now()
  return { since, until: Math.min(since + RUN_LIMIT_MS, askedAt + LIMIT_MS) }
}

const rejectLate = <Connection, Task>(
  waiting: Waiter<Connection, Task>[],
  isLate: (askedAt: number) => boolean,
) => {
  const late = waiting.filter(({ askedAt }) => isLate(askedAt))
  if (late.length === 0) return
  const others = waiting.filter(({ askedAt }) => !isLate(askedAt))
  waiting.length = 0
  waiting.push(...others)
  for (const { reject } of late) reject(new PoolExhausted())
}

/** Returns the function that stops it. */
export const enforceLimits = <Connection, Task>(
  { slots, waiting, ended }: Scheduler<Connection, Task>,
  lanes: Lanes<Connection, Task>,
  cancel: (slot: (typeof slots)[number]) => void,
  replaceConnections: () => void,
) => {
  let endedBefore = 0
  /** When a sweep last saw that a task had ended. */
  let movedAt = Number.NEGATIVE_INFINITY
  const sweep = () => {
    const now = performance.now()
    if (ended() !== endedBefore) movedAt = now
    endedBefore = ended()
    const isLate = (askedAt: number) =>
      now - askedAt > WAIT_LIMIT_MS || now - Math.max(askedAt, movedAt) > STALL_LIMIT_MS
    for (const queue of [...lanes.queues(), waiting]) rejectLate(queue, isLate)
    for (const slot of slots) {
      const [oldest] = slot.tasks
      if (!oldest || slot.cancelledAt !== undefined || now <= oldest.until) continue
      slot.cancelledAt = now
      cancel(slot)
    }
    if (slots.some(({ cancelledAt = now }) => now - cancelledAt > CANCEL_LIMIT_MS))
      replaceConnections()
  }
  const sweeper = setInterval(sweep, SWEEP_MS)
  sweeper.unref()
  return () => clearInterval(sweeper)
}
