/**
 * At most so many pieces of work at once, in all and for each key; the others wait, and keys take turns.
 *
 * A piece of work is
 *   waiting    while its key or all keys have as many under way as they may: one queue a key;
 *   under way  until it is released; then the key that has waited longest is served, and goes to the end;
 *   refused    where the queues are full (the longest queue gives its last place to a shorter one), after
 *              `waitMs`, when the wait is in vain, or when its client has left (ClientLeft).
 */

/** Nobody waits for the response any more. */
export class ClientLeft extends Error {
  override name = "ClientLeft"
  constructor() {
    super("The client has left")
  }
}

/** Why a piece of work was refused while its client was there. */
export type Refusal = "full" | "late" | "vain"

type Limits = {
  /** Pieces of work under way, in all and for each key. */
  total?: number
  perKey?: number
  /** Pieces of work that wait, in all and for each key. */
  queue?: number
  queuePerKey?: number
  waitMs: number
  /** Whether nothing that is under way will end soon, for who waits since that time (performance.now). */
  isInVain?: (since: number) => boolean
  /** Makes the error that a refused piece of work is rejected with. */
  refuse: (why: Refusal) => unknown
}

type Wait = {
  signal?: (() => AbortSignal) | undefined
  /** Waits without a limit: the response has begun. */
  isPatient?: boolean
}

type Waiter = Pick<Wait, "signal"> & {
  start: () => void
  reject: (error: unknown) => void
  /** Infinity if it is patient. */
  since: number
}
type Entry<Key> = { key: Key; underWay: number; waiting: Waiter[] }

/** How often it looks for who has left or waited too long. Most waits are shorter: to read a signal takes time. */
const SWEEP_MS = 100

export const createLimiter = <Key>({
  total = Number.POSITIVE_INFINITY,
  perKey = Number.POSITIVE_INFINITY,
  queue = Number.POSITIVE_INFINITY,
  queuePerKey = Number.POSITIVE_INFINITY,
  waitMs,
  isInVain = () => false,
  refuse,
}: Limits) => {
  const entries = new Map<Key, Entry<Key>>()
  /** Those that wait for nothing but `total`. The first one is served next. */
  const turns = new Set<Entry<Key>>()
  let underWay = 0
  let waiting = 0
  let sweeper: Timer | undefined

  /** After each change of an entry. */
  const update = (entry: Entry<Key>) => {
    if (entry.waiting.length > 0 && entry.underWay < perKey) turns.add(entry)
    else turns.delete(entry)
    if (entry.waiting.length === 0 && entry.underWay === 0) entries.delete(entry.key)
  }

  const dispatch = () => {
    for (const entry of turns) {
      if (underWay >= total) return
      // To the end: all others are served before it is served again.
      turns.delete(entry)
      waiting--
      underWay++
      entry.underWay++
      const next = entry.waiting.shift()
      update(entry)
      next?.start()
    }
  }

  const release = (entry: Entry<Key>) => {
    underWay--
    entry.underWay--
    update(entry)
    dispatch()
  }

  const remove = (entry: Entry<Key>, waiter: Waiter, reason: unknown) => {
    entry.waiting.splice(entry.waiting.indexOf(waiter), 1)
    waiting--
    update(entry)
    waiter.reject(reason)
  }

  const makeRoom = (entry: Entry<Key>) => {
    if (entry.waiting.length >= queuePerKey) throw refuse("full")
    if (waiting < queue) return
    let longest = entry
    for (const other of entries.values())
      if (other.waiting.length > longest.waiting.length) longest = other
    const last = longest.waiting.at(-1)
    if (!last || longest.waiting.length <= entry.waiting.length + 1) throw refuse("full")
    remove(longest, last, refuse("full"))
  }

  const sweep = () => {
    const now = performance.now()
    for (const entry of [...entries.values()])
      for (const waiter of [...entry.waiting])
        if (waiter.since + waitMs <= now) remove(entry, waiter, refuse("late"))
        else if (isInVain(waiter.since)) remove(entry, waiter, refuse("vain"))
        else if (waiter.signal?.().aborted) remove(entry, waiter, new ClientLeft())
    if (waiting > 0) return
    clearInterval(sweeper)
    sweeper = undefined
  }

  /** Resolves when the work may begin. Disposing of it, once, lets the next one begin. */
  const acquire = async (
    key: Key,
    { signal, isPatient = false }: Wait = {},
  ): Promise<Disposable> => {
    const entry = entries.get(key) ?? { key, underWay: 0, waiting: [] }
    const mustWait = underWay >= total || entry.underWay >= perKey || entry.waiting.length > 0
    if (mustWait && !isPatient) makeRoom(entry)
    entries.set(key, entry)
    if (!mustWait) {
      underWay++
      entry.underWay++
    } else {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const since = isPatient ? Number.POSITIVE_INFINITY : performance.now()
      entry.waiting.push({ start: resolve, reject, signal, since })
      waiting++
      update(entry)
      sweeper ??= setInterval(sweep, Math.min(SWEEP_MS, waitMs))
      await promise
    }
    return { [Symbol.dispose]: () => release(entry) }
  }

  return {
    acquire,
    async run<Result>(key: Key, work: () => Promise<Result>, options?: Wait): Promise<Result> {
      using _ = await acquire(key, options)
      return await work()
    },
    state: () => ({ underWay, waiting, keys: entries.size }),
  }
}
export type Limiter<Key> = ReturnType<typeof createLimiter<Key>>
