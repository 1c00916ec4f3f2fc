/** What the client needs of where it runs: browsers, Node, Bun and Deno have it under one name each. */

export type Channel = { post(message: string): void; close(): unknown }

export type Platform = {
  fetch(url: string, init: RequestInit): Promise<Response>
  /** Milliseconds. Only what is shown depends on it: clocks are wrong. */
  now(): number
  /** From 0 to less than 1. */
  random(): number
  /** Ends early, and without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
  /** Runs alone among all who use the name: other tabs too. Rejects when aborted while it waits. */
  lock<T>(name: string, signal: AbortSignal | undefined, run: () => Promise<T>): Promise<T>
  /** To the others who opened the name: never to this one. */
  channel(name: string, onMessage: (message: string) => void): Channel
  isOnline(): boolean
  onOnline(listener: () => void): () => void
}

/** Of the browser's types the few that are used: the package then needs no DOM to be compiled. */
type LockManager = {
  request<T>(name: string, options: { signal?: AbortSignal }, run: () => Promise<T>): Promise<T>
}
type Host = {
  BroadcastChannel?: object
  navigator?: { locks?: LockManager; onLine?: boolean }
  addEventListener?: (type: "online", listener: () => void) => void
  removeEventListener?: (type: "online", listener: () => void) => void
}
const host = globalThis as unknown as Host

const sleep: Platform["sleep"] = (milliseconds, signal) =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener("abort", end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal?.addEventListener("abort", end)
  })

/** Where there are no Web Locks (Node 20, Bun, pages without TLS): among the clients of a process. */
export const createLocks = (): Platform["lock"] => {
  const last = new Map<string, Promise<unknown>>()
  return async (name, signal, run) => {
    const before = last.get(name)
    let release = () => {}
    const mine = new Promise<void>((resolve) => {
      release = resolve
    })
    const end = Promise.all([before, mine])
    last.set(name, end)
    try {
      if (before) await orAborted(before, signal)
      signal?.throwIfAborted()
      return await run()
    } finally {
      release()
      // Whoever stops waiting leaves while another still runs.
      end.then(() => last.get(name) === end && last.delete(name))
    }
  }
}

/** Leaves no listener behind on a signal that lives on. */
export const orAborted = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    const leave = () => reject(signal?.reason)
    if (signal?.aborted) leave()
    signal?.addEventListener("abort", leave)
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", leave))
  })

const webLocks = (): Platform["lock"] | undefined => {
  const locks = host.navigator?.locks
  const among = createLocks()
  if (!locks) return undefined
  return async (name, signal, run) => {
    let isGiven = false
    const given = () => {
      isGiven = true
      return run()
    }
    try {
      return await locks.request(name, signal ? { signal } : {}, given)
    } catch (error) {
      // A page in a sandbox has them, and may not use them.
      if (isGiven || signal?.aborted) throw error
      return among(name, signal, run)
    }
  }
}

const broadcast: Platform["channel"] = (name, onMessage) => {
  const opened = new BroadcastChannel(name)
  opened.onmessage = ({ data }: { data: unknown }) => onMessage(String(data))
  return { post: (message) => opened.postMessage(message), close: () => opened.close() }
}

/** Among the clients of a process, which an open BroadcastChannel would keep from ending. */
export const createChannels = (): Platform["channel"] => {
  const opened = new Map<string, Set<(message: string) => void>>()
  return (name, onMessage) => {
    const all = opened.get(name) ?? new Set()
    opened.set(name, all)
    all.add(onMessage)
    const post = (message: string) => {
      for (const other of all)
        if (other !== onMessage) queueMicrotask(() => all.has(other) && other(message))
    }
    const close = () => {
      all.delete(onMessage)
      if (all.size === 0 && opened.get(name) === all) opened.delete(name)
    }
    return { post, close }
  }
}

export const platform: Platform = {
  fetch: (url, init) => fetch(url, init),
  now: Date.now,
  random: Math.random,
  sleep,
  lock: webLocks() ?? createLocks(),
  // In Node and the like an open one would keep the process.
  channel:
    host.navigator?.onLine !== undefined && host.BroadcastChannel ? broadcast : createChannels(),
  isOnline: () => host.navigator?.onLine !== false,
  onOnline: (listener) => {
    host.addEventListener?.("online", listener)
    return () => host.removeEventListener?.("online", listener)
  },
}

/** Not crypto.randomUUID: pages without TLS lack it. */
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")

/** Grows with each failure to half a minute, and differs, so that not all come back at once. */
export const backOff = ({ random }: Platform, failures: number) =>
  (0.1 + 0.9 * random()) * Math.min(30_000, 300 * 2 ** failures)
