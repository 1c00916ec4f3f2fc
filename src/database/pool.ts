/** The connections to Postgres: a bounded number, and no statement that waits or runs for ever. */

/** What is used of a postgres.js query beyond its types. It starts once it is awaited. */
type Statement = {
  /** Takes the query when it starts. */
  handler: (statement: Statement) => void
  reject: (reason: Error) => void
  /** `cancel()` drops the promise of this, and nobody would handle its rejection. */
  canceller: (statement: Statement) => Promise<void>
  /** Null as long as it waits for its connection to be made: it cannot be cancelled then. */
  state: object | null
}

/** The part of postgres.js that is used here. */
type Connections<Transaction> = {
  unsafe(text: string): Promise<unknown>
  begin<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<unknown>
  end(options: { timeout: number }): Promise<void>
}

/** The parts of the five seconds after which a client must have an answer. */
const WAIT_LIMIT_MS = 1_250
const RUN_LIMIT_MS = 2_750
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

type Turn = { take: () => void; refuse: (reason: Error) => void; since: number }
/** A statement that can be cancelled, or a transaction between its statements. */
type Work = Statement | { state: null }

const settled = <T>(promise: T, callback: () => void) =>
  // Not the query's own `then`, which would start it.
  Promise.prototype.then.call(promise, callback, callback)

/** One statement a connection: a slow one would hold up those that were sent behind it. */
export const createPool = <Transaction, Tag extends Connections<Transaction>>(
  size: number,
  open: () => Tag,
) => {
  const waiting: Turn[] = []
  const running = new Map<Work, number>()
  const cancelled = new Map<Work, number>()
  const counts = { busy: 0, cancelled: 0, replaced: 0 }
  let connections = open()
  const handlerOf = (tag: Tag) => (tag.unsafe("") as unknown as Statement).handler
  let execute = handlerOf(connections)

  const takeTurn = (take: Turn["take"], refuse: Turn["refuse"]) => {
    if (counts.busy < size) {
      counts.busy++
      take()
    } else waiting.push({ take, refuse, since: performance.now() })
  }
  const endTurn = () => {
    const next = waiting.shift()
    if (next) next.take()
    else counts.busy--
  }

  /** Tells `done` when the work is over, and watches it until then. */
  const watch = (work: Work, promise: unknown, since: number, done?: () => void) => {
    running.set(work, since)
    settled(promise, () => {
      running.delete(work)
      cancelled.delete(work)
      done?.()
    })
  }

  const admit = (statement: Statement) =>
    takeTurn(() => {
      watch(statement, statement, performance.now(), endTurn)
      execute(statement)
    }, statement.reject)

  const cancel = (work: Work, now: number) => {
    cancelled.set(work, now)
    counts.cancelled++
    if (work.state) work.canceller(work).catch(() => {})
  }

  const replaceConnections = () => {
    const abandoned = connections
    connections = open()
    execute = handlerOf(connections)
    counts.replaced++
    // Rejects what runs there. A frozen server's sockets close when it is back.
    abandoned.end({ timeout: 0 }).catch(() => {})
  }

  const sweep = () => {
    const now = performance.now()
    while (waiting[0] && now - waiting[0].since > WAIT_LIMIT_MS)
      waiting.shift()?.refuse(new PoolExhausted("No connection became free in time"))
    for (const [work, since] of running)
      if (now - since > RUN_LIMIT_MS && !cancelled.has(work)) cancel(work, now)
    for (const since of cancelled.values())
      if (now - since > CANCEL_LIMIT_MS) return replaceConnections()
  }
  const sweeper = setInterval(sweep, SWEEP_MS)
  sweeper.unref()

  return {
    /** Makes a query by `make`, which takes its turn and has its limit when it is awaited. */
    limited<Made>(make: (connections: Tag) => Made): Made {
      const made = make(connections)
      if (made instanceof Promise) (made as unknown as Statement).handler = admit
      return made
    },
    /** A transaction takes one turn, and has the limit of one statement. */
    async begin<Result>(
      work: (limit: <Made>(made: Made) => Made, transaction: Transaction) => Promise<Result>,
    ): Promise<Result> {
      await new Promise<void>(takeTurn)
      const since = performance.now()
      const limit = <Made>(made: Made): Made => {
        if (made instanceof Promise) {
          const statement = made as unknown as Statement
          const start = statement.handler
          statement.handler = () => {
            watch(statement, statement, since)
            start(statement)
          }
        }
        return made
      }
      const transaction = connections.begin((tag) => work(limit, tag)) as Promise<Result>
      watch({ state: null }, transaction, since, endTurn)
      return transaction
    },
    state: (): PoolState => ({ size, waiting: waiting.length, ...counts }),
    async end() {
      clearInterval(sweeper)
      await connections.end({ timeout: CONNECT_LIMIT_SECONDS })
    },
  }
}
