/** The connections to Postgres: a bounded number, and no statement that waits or runs for ever. */

/** What is used of a postgres.js query beyond its types. It starts once it is awaited. */
type Statement = {
  /** Takes the query when it starts. */
  handler: (statement: Statement) => void
  reject: (reason: Error) => void
  /** `cancel()` drops the promise of this, and nobody would handle its rejection. */
  canceller: (statement: Statement) => Promise<void>
  /**
   * Whether the server works on it. Before that it waits for its connection to be made, or for
   * another statement there, and must not be cancelled: postgres.js would forget it, and take its
   * answer for that of the next one.
   */
  active: boolean
}

/** The part of postgres.js that is used here. */
type Connection<Transaction> = {
  unsafe(text: string): Promise<unknown>
  begin<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<unknown>
  end(options: { timeout: number }): Promise<void>
}

/** Within five seconds a client must have an answer: what waiting takes of it, running may not. */
const LIMIT_MS = 4_000
const WAIT_LIMIT_MS = 3_500
const RUN_LIMIT_MS = 2_750
/** Whoever waits is refused when no connection has become free for this long. */
const STALL_LIMIT_MS = 1_250
/** A server that leaves even a cancel request unanswered for this long is frozen, or gone. */
const CANCEL_LIMIT_MS = 500
const SWEEP_MS = 100

/** How many brief statements may be under way on a connection. */
const PIPELINE = 8
/** A statement that has run for longer is not as brief as it was said to be. */
const BRIEF_MS = 10

/** Less than a statement's limit, so that making a connection fails before its statement does. */
export const CONNECT_LIMIT_SECONDS = 2

/** No connection became free in time. */
export class PoolExhausted extends Error {
  override name = "PoolExhausted"
  readonly code = "POOL_EXHAUSTED"
}

export type PoolState = {
  size: number
  busy: number
  waiting: number
  /** Statements that ran into their limit. */
  cancelled: number
  /** Times that a frozen server's connections were given up. */
  replaced: number
}

/** A statement, or a transaction, which itself is never active: its statements are. */
type Work = { active: false } | Statement

/** When a work began, and when it is cancelled. */
type Term = { since: number; until: number }

const termOf = (askedAt: number): Term => {
  const since = performance.now()
  return { since, until: Math.min(since + RUN_LIMIT_MS, askedAt + LIMIT_MS) }
}

/** A connection, and what is under way there, the oldest first. */
type Slot<Tag> = {
  /** Made when it is needed: one that is not costs a third of a megabyte. */
  opened: { tag: Tag; execute: Statement["handler"] } | undefined
  works: ({ work: Work } & Term)[]
  /** Whether all of them are brief. */
  isShared: boolean
  /** When the oldest one ran into its limit. */
  cancelledAt: number | undefined
}

type Turn<Tag> = {
  isBrief: boolean
  askedAt: number
  take: (slot: Slot<Tag>, askedAt: number) => void
  refuse: (reason: Error) => void
}

const settled = <T>(promise: T, callback: () => void) =>
  // Not the query's own `then`, which would start it.
  Promise.prototype.then.call(promise, callback, callback)

/**
 * A slow statement would hold up those that were sent behind it. So each has a connection of its
 * own, unless it is brief: it reads or writes few rows, and waits for no lock that is held for
 * long. While all connections are busy brief ones are sent behind each other.
 */
export const createPool = <Transaction, Tag extends Connection<Transaction>>(
  size: number,
  open: () => Tag,
) => {
  const opening = () => {
    const tag = open()
    return { tag, execute: (tag.unsafe("") as unknown as Statement).handler }
  }
  /** Makes all queries, too, whichever connection they take. */
  const first = opening()
  const slots: Slot<Tag>[] = Array.from({ length: size }, (_, i) => ({
    opened: i === 0 ? first : undefined,
    works: [],
    isShared: false,
    cancelledAt: undefined,
  }))
  const waiting: Turn<Tag>[] = []
  const counts = { cancelled: 0, replaced: 0 }
  let hasEnded = false
  /** When a work was seen to have ended, lately. */
  let movedAt = Number.NEGATIVE_INFINITY

  /** The one of those with brief statements that has the fewest. */
  const shared = (): Slot<Tag> | undefined => {
    const recent = performance.now() - BRIEF_MS
    let best: Slot<Tag> | undefined
    let fewest = PIPELINE
    for (const slot of slots) {
      const [oldest] = slot.works
      if (!slot.isShared || slot.works.length >= fewest) continue
      if (!oldest?.work.active || oldest.since < recent) continue
      best = slot
      fewest = slot.works.length
    }
    return best
  }
  const connection = (slot: Slot<Tag>) => (slot.opened ??= opening())

  const slotFor = (isBrief: boolean) =>
    slots.find(({ works }) => works.length === 0) ?? (isBrief ? shared() : undefined)

  const takeTurn = (isBrief: boolean, take: Turn<Tag>["take"], refuse: Turn<Tag>["refuse"]) => {
    const askedAt = performance.now()
    const slot = waiting.length === 0 ? slotFor(isBrief) : undefined
    if (slot) take(slot, askedAt)
    else waiting.push({ isBrief, askedAt, take, refuse })
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

  const enter = (slot: Slot<Tag>, work: Work, promise: unknown, term: Term) => {
    const { works } = slot
    const entry = { work, ...term }
    works.push(entry)
    settled(promise, () => {
      hasEnded = true
      if (works[0] === entry) slot.cancelledAt = undefined
      works.splice(works.indexOf(entry), 1)
      nextTurns()
    })
  }

  const admit = (isBrief: boolean) => (statement: Statement) =>
    takeTurn(
      isBrief,
      (slot, askedAt) => {
        slot.isShared = isBrief
        connection(slot).execute(statement)
        enter(slot, statement, statement, termOf(askedAt))
      },
      statement.reject,
    )
  const admitBrief = admit(true)
  const admitAlone = admit(false)

  const cancel = (slot: Slot<Tag>, now: number) => {
    slot.cancelledAt = now
    counts.cancelled++
    for (const { work } of slot.works) if (work.active) work.canceller(work).catch(() => {})
  }

  const replaceConnections = () => {
    counts.replaced++
    for (const slot of slots) {
      // Rejects what runs there. A frozen server's sockets close when it is back.
      slot.opened?.tag.end({ timeout: 0 }).catch(() => {})
      slot.opened = undefined
      slot.cancelledAt = undefined
    }
  }

  const sweep = () => {
    const now = performance.now()
    if (hasEnded) movedAt = now
    hasEnded = false
    const isLate = ({ askedAt }: Turn<Tag>) =>
      now - askedAt > WAIT_LIMIT_MS || now - Math.max(askedAt, movedAt) > STALL_LIMIT_MS
    while (waiting[0] && isLate(waiting[0]))
      waiting.shift()?.refuse(new PoolExhausted("No connection became free in time"))
    for (const slot of slots) {
      const [oldest] = slot.works
      if (oldest && slot.cancelledAt === undefined && now > oldest.until) cancel(slot, now)
    }
    if (slots.some(({ cancelledAt = now }) => now - cancelledAt > CANCEL_LIMIT_MS))
      replaceConnections()
  }
  const sweeper = setInterval(sweep, SWEEP_MS)
  sweeper.unref()

  return {
    /** Makes a query by `make`, which takes its turn and has its limit when it is awaited. */
    limited<Made>(make: (connection: Tag) => Made, isBrief = false): Made {
      const made = make(first.tag)
      if (made instanceof Promise)
        (made as unknown as Statement).handler = isBrief ? admitBrief : admitAlone
      return made
    },
    /** A transaction takes one turn, and has the limit of one statement. */
    begin<Result>(
      work: (limit: <Made>(made: Made) => Made, transaction: Transaction) => Promise<Result>,
    ): Promise<Result> {
      const { promise, resolve, reject } = Promise.withResolvers<Result>()
      const take = (slot: Slot<Tag>, askedAt: number) => {
        const term = termOf(askedAt)
        const limit = <Made>(made: Made): Made => {
          if (made instanceof Promise) {
            const statement = made as unknown as Statement
            const start = statement.handler
            statement.handler = () => {
              enter(slot, statement, statement, term)
              start(statement)
            }
          }
          return made
        }
        const transaction = connection(slot).tag.begin((tag) => work(limit, tag)) as Promise<Result>
        slot.isShared = false
        enter(slot, { active: false }, transaction, term)
        transaction.then(resolve, reject)
      }
      takeTurn(false, take, reject)
      return promise
    },
    state: (): PoolState => ({
      size,
      busy: slots.filter(({ works }) => works.length > 0).length,
      waiting: waiting.length,
      ...counts,
    }),
    async end() {
      clearInterval(sweeper)
      const timeout = CONNECT_LIMIT_SECONDS
      await Promise.all(slots.map(({ opened }) => opened?.tag.end({ timeout })))
    },
  }
}
