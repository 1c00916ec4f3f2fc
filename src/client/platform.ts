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

export type PlatformEvent = "online" | "offline" | "pageshow" | "visibilitychange"

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
  /** Until the signal aborts. */
  onEvent(listener: (event: PlatformEvent) => void, signal: AbortSignal): void
}

/** The few browser types that are used, so that the package compiles without the DOM library. */
type HeldLock = { name?: string; clientId?: string }
type LockManager = {
  request<T>(
    name: string,
    options: { signal?: AbortSignal | undefined; steal?: boolean },
    run: () => Promise<T>,
  ): Promise<T>
  query(): Promise<{ held?: HeldLock[] }>
}
type Host = {
  addEventListener?: (type: string, listener: () => void, until: { signal: AbortSignal }) => void
  BroadcastChannel?: object
  navigator?: { locks?: LockManager; onLine?: boolean }
  document?: { visibilityState?: string }
}
const host = globalThis as unknown as Host

const sleep: Platform["sleep"] = async (milliseconds, signal) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await orAborted(over, signal).catch(() => {})
  clearTimeout(timer)
}

/** Of a process: JavaScript stops for all of its tabs at once, and no lock of theirs is stolen. */
const held: Held = { lost: new AbortController().signal, isHeld: async () => true }

/** Locks within one process, where there are no Web Locks: Node 20, Bun, pages without TLS. */
export const createLocks = (): Lock => {
  /** Settles when all who came until now have ended. */
  const queues = new Map<string, Promise<void>>()
  return (name, { signal }, run) => {
    const before = queues.get(name)
    const done = orAborted(Promise.resolve(before), signal).then(() => run(held))
    queues.set(
      name,
      Promise.allSettled([before, done]).then(() => {}),
    )
    return done
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

/**
 * A controller that any of the signals aborts, too, as by `AbortSignal.any`, which React Native and
 * older browsers lack. Whoever is done with it aborts it: it leaves no listeners then.
 */
export const abortedBy = (...signals: (AbortSignal | undefined)[]) => {
  const either = new AbortController()
  const abort = () => {
    const first = signals.find((signal) => signal?.aborted)
    if (first) either.abort(first.reason)
  }
  for (const signal of signals) {
    signal?.addEventListener("abort", abort)
    either.signal.addEventListener("abort", () => signal?.removeEventListener("abort", abort))
  }
  abort()
  return either
}

/** Waits for a promise, but not for longer. Leaves no timer, which would keep a program from ending. */
export const within = (
  { sleep }: Platform,
  milliseconds: number,
  promise: Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<unknown> => {
  const over = abortedBy(signal)
  return Promise.race([promise, sleep(milliseconds, over.signal)]).finally(() => over.abort())
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
      return await locks.request(name, steal ? { steal } : { signal }, given)
    } catch (error) {
      // A sandboxed page has Web Locks, but is not allowed to use them.
      if (!running && !signal?.aborted) return among(name, { signal }, run)
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
  const opened = new Set<{ name: string; hear: (message: unknown) => void }>()
  return (name, hear) => {
    const mine = { name, hear }
    opened.add(mine)
    return {
      post: (message) => {
        for (const other of opened)
          if (other.name === name && other !== mine)
            queueMicrotask(() => opened.has(other) && other.hear(message))
      },
      close: () => opened.delete(mine),
    }
  }
}

const onEvent: Platform["onEvent"] = (listener, signal) => {
  // A page that comes back from the browser's cache of pages has missed what happened meanwhile.
  for (const event of ["online", "offline", "pageshow", "visibilitychange"] as const)
    host.addEventListener?.(
      event,
      () => {
        if (event !== "visibilitychange" || isVisible()) listener(event)
      },
      { signal },
    )
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
  onEvent,
}

/** Pages without TLS have no crypto.randomUUID. */
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => (byte + 256).toString(16).slice(1))
    .join("")

/**
 * Exponential, up to 10 s: a hidden tab may lead one that is looked at. With jitter, so that not all
 * clients come back at once.
 */
export const backOff = ({ random }: Platform, failures: number) =>
  (0.1 + 0.9 * random()) * Math.min(10_000, 300 * 2 ** failures)
