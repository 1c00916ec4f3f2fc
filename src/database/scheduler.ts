/** Whose turn it is on which connection: each work has one of its own, but brief ones share. */

/** How many brief works may be under way on a connection. */
const PIPELINE = 8
/** A work that takes longer, a slow disk's commit included, is not as brief as it was said to be. */
const BRIEF_MS = 25

/** When a work began, and when it has to end. By performance.now(). */
export type Term = { since: number; until: number }

/** A connection, and what is under way there, the oldest first. */
export type Slot<Connection, Work> = {
  /** Made when it is needed. */
  connection: Connection | undefined
  works: ({ work: Work } & Term)[]
  /** Whether all of them are brief. */
  isShared: boolean
  /** When the oldest one had no other before it any more. */
  movedAt: number
  /** When the oldest one was cancelled. */
  cancelledAt: number | undefined
}

type Turn<Connection, Work> = {
  isBrief: boolean
  askedAt: number
  take: (slot: Slot<Connection, Work>, askedAt: number) => void
  refuse: (reason: Error) => void
}

const settled = <T>(promise: Promise<T>, callback: () => void) =>
  // Not a query's own `then`, which would start it.
  Promise.prototype.then.call(promise, callback, callback)

/**
 * A slow work would hold up those that were sent behind it. So each has a connection of its own,
 * unless it is brief: it reads or writes few rows, and waits for no lock that is held for long.
 * While all connections are busy brief ones are sent behind each other. `active` is a work that
 * the server has begun.
 */
export const createTurns = <Connection, Work extends { active: boolean }>(size: number) => {
  const slots: Slot<Connection, Work>[] = Array.from({ length: size }, () => ({
    connection: undefined,
    works: [],
    isShared: false,
    movedAt: 0,
    cancelledAt: undefined,
  }))
  const waiting: Turn<Connection, Work>[] = []
  let ended = 0

  /** The one of those with brief works that has the fewest. */
  const shared = () => {
    const recent = performance.now() - BRIEF_MS
    let best: Slot<Connection, Work> | undefined
    let fewest = PIPELINE
    for (const slot of slots) {
      const [oldest] = slot.works
      if (!slot.isShared || slot.works.length >= fewest) continue
      if (!oldest?.work.active || slot.movedAt < recent) continue
      best = slot
      fewest = slot.works.length
    }
    return best
  }
  const slotFor = (isBrief: boolean) => {
    const slot = slots.find(({ works }) => works.length === 0) ?? (isBrief ? shared() : undefined)
    if (slot) slot.isShared = isBrief
    return slot
  }

  /** In the order in which they came: else brief ones might keep the others out for ever. */
  const nextTurns = () => {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const slot = slotFor(next.isBrief)
      if (!slot) return
      waiting.shift()
      next.take(slot, next.askedAt)
    }
  }

  return {
    slots,
    waiting,
    /** How many works have ended so far. */
    ended: () => ended,
    /** Calls `take`, which must enter a work at once, when there is a slot for it. */
    takeTurn(
      isBrief: boolean,
      take: Turn<Connection, Work>["take"],
      refuse: (reason: Error) => void,
    ) {
      const askedAt = performance.now()
      const slot = waiting.length === 0 ? slotFor(isBrief) : undefined
      if (slot) take(slot, askedAt)
      else waiting.push({ isBrief, askedAt, take, refuse })
    },
    /** The work is under way until its promise settles. */
    enter(slot: Slot<Connection, Work>, work: Work, promise: Promise<unknown>, term: Term) {
      const { works } = slot
      const entry = { work, ...term }
      if (works.length === 0) slot.movedAt = term.since
      works.push(entry)
      settled(promise, () => {
        ended++
        if (works[0] === entry) {
          slot.cancelledAt = undefined
          slot.movedAt = performance.now()
        }
        works.splice(works.indexOf(entry), 1)
        nextTurns()
      })
    },
  }
}
