/**
 * At most so many pieces of work at once, in all and for each key; the others wait, and keys take turns.
 *
 * A piece of work is
 *   waiting    while its key or all keys have as many under way as they may: one queue a key;
 *   under way  until it is released; then the key that has waited longest is served, and goes to the end;
 *   refused    where the queues are full (the longest queue gives its last place to a shorter one), after
 *              `waitMs`, or when its client has left.
 */

/** Why a piece of work was refused. */
export type Refusal = "full" | "late" | "left"

type Limits = {
  /** Pieces of work under way, in all and for each key. */
  total?: number
  perKey?: number
  /** Pieces of work that wait, in all and for each key. */
  queue?: number
  queuePerKey?: number
  waitMs: number
  /** Makes the error that a refused piece of work is rejected with. */
  refuse: (why: Refusal) => unknown
}

type Wait = {
  /** Asked for only if there is a wait: reading a request's signal takes time. */
  signal?: (() => AbortSignal) | undefined
  /** Waits without a limit: the response has begun. */
  isPatient?: boolean
}

type Waiter = { start: () => void; refuse: (why: Refusal) => void; until: number }
type Entry<Key> = { key: Key; underWay: number; waiting: Waiter[] }

export const createLimiter = <Key>({
  total = Number.POSITIVE_INFINITY,
  perKey = Number.POSITIVE_INFINITY,
  queue = Number.POSITIVE_INFINITY,
  queuePerKey = Number.POSITIVE_INFINITY,
  waitMs,
  refuse,
}: Limits) => {
  const entries = new Map<Key, Entry<Key>>()
  /** Those that wait for nothing but `total`. The first one is served next. */
  const turns = new Set<Entry<Key>>()
  let underWay = 0
  let waiting = 0
  let isSweeping = false

  const entryOf = (key: Key) =>
    entries.getOrInsertComputed(key, () => ({ key, underWay: 0, waiting: [] }))

  /** After each change of an entry. */
  const update = (entry: Entry<Key>) => {
    if (entry.waiting.length > 0 && entry.underWay < perKey) turns.add(entry)
    else turns.delete(entry)
    const isIdle = entry.waiting.length === 0 && entry.underWay === 0
    if (isIdle && entries.get(entry.key) === entry) entries.delete(entry.key)
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

  const remove = (entry: Entry<Key>, waiter: Waiter, why: Refusal) => {
    const place = entry.waiting.indexOf(waiter)
    if (place === -1) return
    entry.waiting.splice(place, 1)
    waiting--
    update(entry)
    waiter.refuse(why)
  }

  const makeRoom = (entry: Entry<Key>) => {
    if (entry.waiting.length >= queuePerKey) throw refuse("full")
    if (waiting < queue) return
    let longest = entry
    for (const other of entries.values())
      if (other.waiting.length > longest.waiting.length) longest = other
    const last = longest.waiting.at(-1)
    if (!last || longest.waiting.length <= entry.waiting.length + 1) throw refuse("full")
    remove(longest, last, "full")
  }

  const sweep = () => {
    const now = performance.now()
    let next = Number.POSITIVE_INFINITY
    for (const entry of [...entries.values()])
      for (const waiter of [...entry.waiting])
        if (waiter.until <= now) remove(entry, waiter, "late")
        else next = Math.min(next, waiter.until)
    isSweeping = next !== Number.POSITIVE_INFINITY
    if (isSweeping) setTimeout(sweep, Math.ceil(next - now))
  }

  const wait = async (entry: Entry<Key>, { signal, isPatient = false }: Wait) => {
    const client = signal?.()
    if (client?.aborted) throw refuse("left")
    if (!isPatient) makeRoom(entry)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = {
      start: resolve,
      refuse: (why: Refusal) => reject(refuse(why)),
      until: isPatient ? Number.POSITIVE_INFINITY : performance.now() + waitMs,
    }
    entry.waiting.push(waiter)
    waiting++
    update(entry)
    if (!isPatient && !isSweeping) {
      isSweeping = true
      setTimeout(sweep, waitMs)
    }
    const leave = () => remove(entry, waiter, "left")
    client?.addEventListener("abort", leave, { once: true })
    await promise.finally(() => client?.removeEventListener("abort", leave))
  }

  /** Resolves when the work may begin. Disposing of it, once, lets the next one begin. */
  const acquire = async (key: Key, options: Wait = {}): Promise<Disposable> => {
    const entry = entryOf(key)
    if (underWay < total && entry.underWay < perKey && entry.waiting.length === 0) {
      underWay++
      entry.underWay++
    } else {
      try {
        await wait(entry, options)
      } catch (refusal) {
        update(entry)
        throw refusal
      }
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
