/** What the client needs from its runtime. Browsers, Node, Bun and Deno share these names. */

export type Channel = { post(message: string): void; close(): unknown }

export type Platform = {
  fetch(url: string, init: RequestInit): Promise<Response>
  /** Milliseconds. Only used for what is shown, because clocks may be wrong. */
  now(): number
  /** At least 0, and less than 1. */
  random(): number
  /** Resolves early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
  /** Runs with the lock of this name, which all tabs share. Rejects if aborted while it waits. */
  lock<T>(name: string, signal: AbortSignal | undefined, run: () => Promise<T>): Promise<T>
  /** A message reaches all other channels of the same name, but not the one that posts it. */
  channel(name: string, onMessage: (message: string) => void): Channel
  isOnline(): boolean
  onOnline(listener: () => void): () => void
}

/** The few browser types that are used, so that the package compiles without the DOM library. */
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

/** Locks within one process, where there are no Web Locks: Node 20, Bun, pages without TLS. */
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
      // Not deleted at once: a waiter that is aborted gets here while another still has the lock.
      end.then(() => last.get(name) === end && last.delete(name))
    }
  }
}

/** Rejects if aborted before the promise settles. Leaves no listener on a signal that lives on. */
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
      // A sandboxed page has Web Locks, but is not allowed to use them.
      if (isGiven || signal?.aborted) throw error
      return among(name, signal, run)
    }
  }
}

const broadcast: Platform["channel"] = (name, onMessage) => {
  const opened = new BroadcastChannel(name)
  opened.onmessage = ({ data }: { data: unknown }) => onMessage(String(data))
  let isOpen = true
  return {
    // It would throw once it is closed, perhaps in the middle of an edit that is being stored.
    post: (message) => isOpen && opened.postMessage(message),
    close: () => {
      isOpen = false
      opened.close()
    },
  }
}

/** Channels within one process, because an open BroadcastChannel would keep it from exiting. */
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
  // Only browsers have `onLine`. Elsewhere an open BroadcastChannel would keep the process alive.
  channel:
    host.navigator?.onLine !== undefined && host.BroadcastChannel ? broadcast : createChannels(),
  isOnline: () => host.navigator?.onLine !== false,
  onOnline: (listener) => {
    host.addEventListener?.("online", listener)
    return () => host.removeEventListener?.("online", listener)
  },
}

/** Pages without TLS have no crypto.randomUUID. */
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")

/** Exponential, up to 30 seconds. With jitter, so that not all clients come back at once. */
export const backOff = ({ random }: Platform, failures: number) =>
  (0.1 + 0.9 * random()) * Math.min(30_000, 300 * 2 ** failures)
