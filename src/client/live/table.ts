/**
 * A map of JSON values that all tabs of a browser share: in memory, in the storage, and from tab to
 * tab. A change of it is
 *   applied  in memory, at once;
 *   stored   at the end of the tick, in one write with all others of that tick. Where another tab has
 *            stored something since, the map is loaded, and the changes are applied to it once more.
 *            Where the storage refuses, they stay applied, other tabs get them all the same, and the
 *            write is tried again later.
 * Each write gives the map a new version. A tab that has the version before applies what changed; any
 * other loads the map.
 */
import { backOff, type Channel, type Platform, randomKey } from "../platform.ts"
import type { Storage } from "../storage/storage.ts"

/** It reads what it needs from `values`. Undefined removes a value. */
type Change<T> = (set: (key: string, value: T | undefined) => void) => void

type Delta<T> = ReadonlyMap<string, T | undefined>
/** `from` and `to` are versions. Without `to`, the values are not stored. */
export type TableMessage<T> = {
  table: string
  from?: string | undefined
  to?: string
  values: Delta<T>
}

export type Table<T> = ReturnType<typeof createTable<T>>

type Given = {
  platform: Platform
  storage: Storage
  /** Of its keys. The key that is the prefix has the version. */
  prefix: string
  channel: Channel
  signal: AbortSignal
  /** Called with the keys that may have changed. */
  onChange: (keys: Iterable<string>) => void
}

export const createTable = <T>({ platform, storage, prefix, channel, signal, onChange }: Given) => {
  let values = new Map<string, T>()
  let version: string | undefined
  /** What is applied, but not stored: changes, and the keys of the values that each has set. */
  let unstored: { change: Change<T>; touched: ReadonlySet<string> }[] = []
  let writing: Promise<void> | undefined
  let last: Promise<unknown> = Promise.resolve()
  let failures = 0
  let isRetrying = false
  /** Messages may come sooner than what was read before them. */
  let isLoading = false

  const set = (key: string, value: T | undefined) => {
    if (value === undefined) values.delete(key)
    else values.set(key, value)
  }

  const apply = (change: Change<T>) => {
    const touched = new Set<string>()
    change((key, value) => {
      touched.add(key)
      set(key, value)
    })
    return touched
  }

  const reload = async () => {
    isLoading = true
    const stored = new Map(
      await storage.read(prefix).finally(() => {
        isLoading = false
      }),
    ) as Map<string, T>
    const found = stored.get(prefix) as string | undefined
    // Nobody has stored anything since.
    if (found && found === version) return
    version = found
    stored.delete(prefix)
    const before = values.keys()
    values = new Map([...stored].map(([key, value]) => [key.slice(prefix.length), value]))
    for (const one of unstored) one.touched = apply(one.change)
    onChange(new Set([...before, ...values.keys()]))
  }

  /** Loads and writes come one after the other. */
  const inTurn = (run: () => Promise<void>): Promise<void> => {
    const next = last.then(run)
    last = next.catch(() => {})
    return next
  }
  const load = (known?: string) =>
    inTurn(async () => {
      if (!known || known !== version) await reload()
    })

  const post = (message: Omit<TableMessage<T>, "table">) =>
    channel.post({ table: prefix, ...message })

  const delta = () =>
    new Map(unstored.flatMap(({ touched }) => [...touched]).map((key) => [key, values.get(key)]))

  const write = async () => {
    const [written, changed, from, to] = [new Set(unstored), delta(), version, randomKey()]
    const stored = new Map<string, unknown>([[prefix, to]])
    for (const [key, value] of changed) stored.set(prefix + key, value)
    if (!(await storage.write(stored, new Map([[prefix, from]])))) return reload()
    unstored = unstored.filter((one) => !written.has(one))
    version = to
    post({ from, to, values: changed })
  }

  const retryLater = async () => {
    if (isRetrying) return
    isRetrying = true
    await platform.sleep(backOff(platform, failures++), signal)
    isRetrying = false
    if (!signal.aborted) store()
  }

  const writeAll = async () => {
    try {
      while (unstored.length > 0) await write()
      failures = 0
    } catch {
      // The others get them all the same.
      post({ values: delta() })
      retryLater()
    }
    writing = undefined
    onChange([])
  }

  /**
   * Resolves when all is stored, or when the storage has refused it. `inTurn` begins it after the
   * tick: what else that changes is part of the same write.
   */
  const store = () => {
    writing ??= inTurn(writeAll)
    return writing
  }

  const isStored = () => unstored.length === 0 && !writing

  return {
    values: () => values as ReadonlyMap<string, T>,
    isStored,
    load: () => load(),

    change: (change: Change<T>): Promise<void> => {
      const touched = apply(change)
      if (touched.size === 0) return writing ?? Promise.resolve()
      unstored.push({ change, touched })
      const stored = store()
      onChange(touched)
      return stored
    },

    /** A message from another tab. */
    receive: (message: TableMessage<T>) => {
      const { table, from, to, values: changed } = message
      if (table !== prefix) return
      const isNext = from === version && isStored() && !isLoading
      if (to && !isNext) return void load(to).catch(() => {})
      for (const [key, value] of changed) set(key, value)
      if (to) version = to
      onChange(changed.keys())
    },

    /**
     * Forgets what a log-out has removed, and removes what this tab has stored since. `isKept`: the
     * user is logged in again. A tab that was frozen hears late.
     */
    clear: (isKept: () => Promise<boolean>) => {
      const before = values.keys()
      values = new Map()
      unstored = []
      onChange(before)
      return inTurn(async () => {
        const stored = await storage.read(prefix)
        const guard = new Map([[prefix, stored.get(prefix) as string | undefined]])
        if (!(await isKept()))
          await storage.write(new Map([...stored.keys()].map((key) => [key, undefined])), guard)
        version = undefined
        await reload()
      })
    },
  }
}
