/** The connections to Postgres: a bounded number, and no statement that waits or runs for ever. */
import { createTurns, type Term } from "./scheduler.ts"

/** What is used of a postgres.js query beyond its types. It starts once it is awaited. */
type Statement = Promise<unknown> & {
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

const termOf = (askedAt: number): Term => {
  const since = performance.now()
  return { since, until: Math.min(since + RUN_LIMIT_MS, askedAt + LIMIT_MS) }
}

/** One that is not opened yet costs nothing; one that is, a third of a megabyte. */
type Opened<Tag> = { tag: Tag; execute: Statement["handler"] }

export const createPool = <Transaction, Tag extends Connection<Transaction>>(
  size: number,
  open: () => Tag,
) => {
  const opened = (): Opened<Tag> => {
    const tag = open()
    return { tag, execute: (tag.unsafe("") as unknown as Statement).handler }
  }
  const { slots, waiting, ended, takeTurn, enter } = createTurns<Opened<Tag>, Work>(size)
  const first = opened()
  if (slots[0]) slots[0].connection = first
  const counts = { cancelled: 0, replaced: 0 }

  const admit = (isBrief: boolean) => (statement: Statement) =>
    takeTurn(
      isBrief,
      (slot, askedAt) => {
        slot.connection ??= opened()
        slot.connection.execute(statement)
        enter(slot, statement, statement, termOf(askedAt))
      },
      statement.reject,
    )
  const admitBrief = admit(true)
  const admitAlone = admit(false)

  const cancel = (slot: (typeof slots)[number], now: number) => {
    slot.cancelledAt = now
    counts.cancelled++
    for (const { work } of slot.works) if (work.active) work.canceller(work).catch(() => {})
  }

  const replaceConnections = () => {
    counts.replaced++
    for (const slot of slots) {
      // Rejects what runs there. A frozen server's sockets close when it is back.
      slot.connection?.tag.end({ timeout: 0 }).catch(() => {})
      slot.connection = undefined
      slot.cancelledAt = undefined
    }
  }

  let endedBefore = 0
  /** When some work had ended, lately. */
  let movedAt = Number.NEGATIVE_INFINITY
  const sweep = () => {
    const now = performance.now()
    if (ended() !== endedBefore) movedAt = now
    endedBefore = ended()
    const isLate = (askedAt: number) =>
      now - askedAt > WAIT_LIMIT_MS || now - Math.max(askedAt, movedAt) > STALL_LIMIT_MS
    while (waiting[0] && isLate(waiting[0].askedAt))
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
    /**
     * Makes a query by `make`, which takes its turn and has its limit when it is awaited. Whichever
     * connection makes it, any can take it.
     */
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
      const take = (slot: (typeof slots)[number], askedAt: number) => {
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
        slot.connection ??= opened()
        const transaction = slot.connection.tag.begin((tag) => work(limit, tag)) as Promise<Result>
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
      await Promise.all(slots.map(({ connection }) => connection?.tag.end({ timeout })))
    },
  }
}
