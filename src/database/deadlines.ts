/** Limits how long statements wait and run. */
import { PoolExhausted } from "./errors.ts"

/** A client must get an answer within five seconds, including both waiting and running. */
const LIMIT_MS = 4_000
const WAIT_LIMIT_MS = 3_500
const RUN_LIMIT_MS = 2_750
const STALL_LIMIT_MS = 1_250
const CANCEL_LIMIT_MS = 500
const SWEEP_MS = 100

/** Less than a statement's limit, so that connecting fails before the statement does. */
export const CONNECT_LIMIT_SECONDS = 2

/** Until when what begins now may run, by performance.now(). */
export const deadlineOf = (askedAt: number): number =>
  Math.min(performance.now() + RUN_LIMIT_MS, askedAt + LIMIT_MS)

type Task = { askedAt: number; reject: (reason: unknown) => void }
type Entry = { until: number }
type Slot = {
  entries: Entry[]
  cancel: { entry: Entry; at: number } | undefined
}

type Pool<OfPool extends Slot> = {
  slots: OfPool[]
  waiting: Task[]
  /** How many statements and transactions have ended so far. */
  ended: () => number
  cancel: (slot: OfPool) => void
  close: (slot: OfPool) => void
  replaceConnections: () => void
  dispatch: () => void
}

const rejectLate = (waiting: Task[], isLate: (task: Task) => boolean) => {
  const late = waiting.filter(isLate)
  if (late.length === 0) return
  const others = waiting.filter((task) => !isLate(task))
  waiting.splice(0, waiting.length, ...others)
  for (const { reject } of late) reject(new PoolExhausted())
}

/** Returns the function that stops it. */
export const enforceLimits = <OfPool extends Slot>(pool: Pool<OfPool>) => {
  const { slots, waiting, ended, cancel, close, replaceConnections, dispatch } = pool
  let endedBefore = 0
  /** When a sweep last saw that something had ended. */
  let movedAt = Number.NEGATIVE_INFINITY
  const sweep = () => {
    const now = performance.now()
    if (ended() !== endedBefore) movedAt = now
    endedBefore = ended()
    rejectLate(
      waiting,
      ({ askedAt }) =>
        now - askedAt > WAIT_LIMIT_MS || now - Math.max(askedAt, movedAt) > STALL_LIMIT_MS,
    )
    for (const slot of slots) {
      const [oldest] = slot.entries
      if (!slot.cancel) {
        if (oldest && now > oldest.until) cancel(slot)
      } else if (now - slot.cancel.at > CANCEL_LIMIT_MS) {
        // A cancel that is still on its way must not reach the next statement there.
        if (slot.cancel.entry === oldest) return replaceConnections()
        close(slot)
      }
    }
    dispatch()
  }
  const sweeper = setInterval(sweep, SWEEP_MS)
  sweeper.unref()
  return () => clearInterval(sweeper)
}
