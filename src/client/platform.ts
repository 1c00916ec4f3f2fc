/** What the client needs from its runtime. Browsers, Node, Bun, Deno and React Native have most of it. */

export type Channel = { post(message: unknown): void; close(): unknown }

/** Held until its function ends, or until another tab steals it. */
export type Held = {
  /** Aborts when it is stolen. A tab that was suspended may hear of it late. */
  lost: AbortSignal
  /** Asks the browser itself. */
  isHeld(): Promise<boolean>
}

export type Lock = <T>(
  name: string,
  options: { signal?: AbortSignal | undefined; steal?: boolean },
  run: (held: Held) => Promise<T>,
) => Promise<T>

export type PlatformEvent = "online" | "offline" | "visible"

export type Platform = {
  fetch(url: string, init: RequestInit): Promise<Response>
  /** Milliseconds. Only used for what is shown, because clocks may be wrong. */
  now(): number
  /** Milliseconds since any moment. */
  elapsed(): number
  /** At least 0, and less than 1. */
  random(): number
  /** Resolves early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
  /** Runs with the lock of this name, which all tabs share. Rejects if aborted while it waits. */
  lock: Lock
  /** A message reaches all other channels of the same name, but not the one that posts it. */
  channel(name: string, onMessage: (message: unknown) => void): Channel
  isOnline(): boolean
  isVisible(): boolean
  onEvent(listener: (event: PlatformEvent) => void): () => void
}

/** The few browser types that are used, so that the package compiles without the DOM library. */
type HeldLock = { name?: string; clientId?: string }
type LockManager = {
  request<T>(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    run: () => Promise<T>,
  ): Promise<T>
  query(): Promise<{ held?: HeldLock[] }>
}
type Target = {
  addEventListener?: (type: string, listener: () => void) => void
  removeEventListener?: (type: string, listener: () => void) => void
}
type Host = Target & {
  BroadcastChannel?: object
  navigator?: { locks?: LockManager; onLine?: boolean }
  document?: Target & { visibilityState?: string }
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
export const createLocks = (): Lock => {
  const holders = new Map<string, AbortController>()
  const waiting = new Map<string, Set<() => void>>()
  /** Wakes the next if nobody has the lock. In the order in which they came: a Set keeps it. */
  const pass = (name: string) => {
    if (holders.has(name)) return
    const [next] = waiting.get(name) ?? []
    if (next) next()
    else waiting.delete(name)
  }
  return async (name, { signal, steal = false }, run) => {
    while (holders.has(name) && !steal) {
      let wake = () => {}
      const isFree = new Promise<void>((resolve) => {
        wake = resolve
      })
      const others = waiting.get(name) ?? new Set()
      waiting.set(name, others.add(wake))
      await orAborted(isFree, signal).finally(() => others.delete(wake))
    }
    if (signal?.aborted) {
      pass(name)
      throw signal.reason
    }
    holders.get(name)?.abort()
    const mine = new AbortController()
    holders.set(name, mine)
    try {
      return await run({ lost: mine.signal, isHeld: async () => !mine.signal.aborted })
    } finally {
      if (holders.get(name) === mine) holders.delete(name)
      pass(name)
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

/** Like `AbortSignal.any`, which older browsers lack, until `end` is called. */
export const anySignal = (...signals: (AbortSignal | undefined)[]) => {
  const either = new AbortController()
  const stops = signals.map((signal) => {
    const abort = () => either.abort(signal?.reason)
    if (signal?.aborted) abort()
    signal?.addEventListener("abort", abort)
    return () => signal?.removeEventListener("abort", abort)
  })
  return {
    signal: either.signal,
    end: () => {
      for (const stop of stops) stop()
    },
  }
}

const webLocks = (): Lock | undefined => {
  const locks = host.navigator?.locks
  const among = createLocks()
  if (!locks) return undefined
  const holder = async (name: string) =>
    (await locks.query()).held?.find((held) => held.name === name)?.clientId
  return async <T>(
    name: string,
    { signal, steal = false }: { signal?: AbortSignal | undefined; steal?: boolean },
    run: (held: Held) => Promise<T>,
  ): Promise<T> => {
    const lost = new AbortController()
    let running: Promise<T> | undefined
    const given = (): Promise<T> => {
      running = holder(name).then((me) =>
        run({ lost: lost.signal, isHeld: async () => !me || (await holder(name)) === me }),
      )
      return running
    }
    try {
      return await locks.request(name, steal ? { steal } : signal ? { signal } : {}, given)
    } catch (error) {
      // A sandboxed page has Web Locks, but is not allowed to use them.
      if (!running && !signal?.aborted) return among(name, { signal, steal }, run)
      if (!running) throw error
      // Stolen, unless it is the error of the function itself.
      lost.abort()
      return running
    }
  }
}

const broadcast: Platform["channel"] = (name, onMessage) => {
  const opened = new BroadcastChannel(name)
  opened.onmessage = ({ data }: { data: unknown }) => onMessage(data)
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
  const opened = new Map<string, Set<(message: unknown) => void>>()
  return (name, onMessage) => {
    const all = opened.get(name) ?? new Set()
    opened.set(name, all)
    all.add(onMessage)
    const post = (message: unknown) => {
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

const onEvent: Platform["onEvent"] = (listener) => {
  const online = () => listener("online")
  const offline = () => listener("offline")
  const visible = () => isVisible() && listener("visible")
  host.addEventListener?.("online", online)
  host.addEventListener?.("offline", offline)
  // A page that comes back from the browser's cache of pages has missed what happened meanwhile.
  host.addEventListener?.("pageshow", visible)
  host.document?.addEventListener?.("visibilitychange", visible)
  return () => {
    host.removeEventListener?.("online", online)
    host.removeEventListener?.("offline", offline)
    host.removeEventListener?.("pageshow", visible)
    host.document?.removeEventListener?.("visibilitychange", visible)
  }
}

const isVisible = () => host.document?.visibilityState !== "hidden"

export const platform: Platform = {
  fetch: (url, init) => fetch(url, init),
  now: Date.now,
  elapsed: () => performance.now(),
  random: Math.random,
  sleep,
  lock: webLocks() ?? createLocks(),
  // Only browsers have `onLine`. Elsewhere an open BroadcastChannel would keep the process alive.
  channel:
    host.navigator?.onLine !== undefined && host.BroadcastChannel ? broadcast : createChannels(),
  isOnline: () => host.navigator?.onLine !== false,
  isVisible,
  onEvent,
}

/** Pages without TLS have no crypto.randomUUID. */
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")

/** Exponential, up to 30 s. With jitter, so that not all clients come back at once. */
export const backOff = ({ random, isVisible }: Platform, failures: number) =>
  (0.1 + 0.9 * random()) * Math.min(isVisible() ? 10_000 : 30_000, 300 * 2 ** failures)
