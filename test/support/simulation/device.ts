/** A client that can be killed at any moment, with a storage that outlives it. */
import { type Client, createClientOn } from "../../../src/client/client.ts"
import type { Live } from "../../../src/client/live/live.ts"
import {
  createChannels,
  createLocks,
  type Platform,
  type PlatformEvent,
} from "../../../src/client/platform.ts"
import { memoryStorage } from "../../../src/client/storage/memory.ts"
import type { Storage } from "../../../src/client/storage/storage.ts"
import { expireToken } from "../live.ts"
import type { Clock } from "./clock.ts"
import { faultyFetch, type Network, type Service } from "./network.ts"
import type { Random } from "./random.ts"
import { createWebLocks } from "./web-locks.ts"

const never = new Promise<never>(() => {})

/** What the tabs of one browser share. */
export const createProfile = (index: number) => ({
  index,
  storage: memoryStorage(),
  lock: createWebLocks(),
  channel: createChannels(),
})
export type Profile = ReturnType<typeof createProfile>

type Given = {
  /** Whether tabs have Web Locks. Pages without TLS have none. */
  hasLocks: boolean
  /** See `faultyFetch`. */
  isStrict: boolean
  service: Service
  network: Network
  random: Random
  clock: Clock
  profile: Profile
}
export type Credentials = { email: string; password: string }

const runningOn = ({ profile, hasLocks, ...given }: Given, end: AbortSignal) => {
  const { random, clock } = given
  let isOnline = true
  let isLeading = false
  /** Pending while JavaScript has stopped in the tab, as in a suspended one. */
  let running: Promise<void> = Promise.resolve()
  let resume = () => {}
  const skew = (random.random() - 0.5) * 1e12
  const listeners = new Set<(event: PlatformEvent) => void>()
  const lock = hasLocks ? profile.lock : createLocks()
  const death = new Promise<never>((_, reject) =>
    end.addEventListener("abort", () => reject(new Error("killed")), { once: true }),
  )
  death.catch(() => {})
  const untilRunning = async () => {
    for (let seen: unknown; seen !== running; ) {
      seen = running
      await running
    }
  }
  /** A promise that never settles once the client is killed, and not before it runs again. */
  const alive = async <T>(value: Promise<T>): Promise<T> => {
    try {
      const settled = await value
      await untilRunning()
      return end.aborted ? never : settled
    } catch (error) {
      await untilRunning()
      if (end.aborted) return never
      throw error
    }
  }
  const fetch = faultyFetch({ ...given, profile: profile.index, isOnline: () => isOnline })
  const on: Platform = {
    fetch: (url, init) =>
      alive(
        fetch(url.slice("http://service".length), { ...init, signal: anyOf(init.signal, end) }),
      ),
    now: () => START + clock.now() + skew,
    elapsed: clock.now,
    random: random.random,
    sleep: (milliseconds, signal) => alive(clock.sleep(milliseconds, signal)),
    lock: (name, { signal, steal = false }, run) =>
      alive(
        lock(name, { signal: anyOf(signal, end), steal }, async (held) => {
          const leads = name.includes(":live:")
          isLeading ||= leads
          try {
            return await Promise.race([untilRunning().then(() => run(held)), death])
          } finally {
            if (leads) isLeading = false
          }
        }),
      ),
    channel: (name, onMessage) =>
      profile.channel(name, (message) => {
        untilRunning().then(() => end.aborted || onMessage(message))
      }),
    isOnline: () => isOnline,
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const { storage: shared } = profile
  /** What is called when the edits until now are stored: before the tab hears of it. */
  const unwritten = new Set<() => void>()
  const tellWritten = (told: readonly (() => void)[]) => {
    for (const tell of told) {
      unwritten.delete(tell)
      tell()
    }
  }
  const storage: Storage = {
    name: shared.name,
    read: (prefix) => (end.aborted ? never : alive(shared.read(prefix))),
    write: (values, guard) => {
      if (end.aborted) return never
      const [isWritten, told] = [shared.write(values, guard), [...unwritten]]
      const isQueue = guard?.keys().some((key) => key.startsWith("queue:"))
      if (isQueue) isWritten.then((is) => is && tellWritten(told))
      return alive(isWritten)
    },
  }
  return {
    on,
    storage,
    isLeading: () => isLeading,
    onceWritten: (tell: () => void) => {
      unwritten.add(tell)
    },
    setOnline: (next: boolean) => {
      isOnline = next
      for (const listener of listeners) listener(next ? "online" : "offline")
    },
    suspend: () => {
      running = new Promise((resolve) => {
        resume = resolve
      })
    },
    resume: () => resume(),
  }
}

/** Any day. */
const START = Date.UTC(2026, 0, 1)

const anyOf = (...signals: (AbortSignal | null | undefined)[]) =>
  AbortSignal.any(signals.filter((signal) => signal !== null && signal !== undefined))

export type Device = Awaited<ReturnType<typeof startDevice>>

export const startDevice = async (given: Given, credentials: Credentials) => {
  const end = new AbortController()
  const { random } = given
  const { on, storage, suspend, resume, ...device } = runningOn(given, end.signal)
  const client = createClientOn(on, { url: "http://service", storage })
  const state: { live: Live | undefined; isSuspended: boolean } = {
    live: undefined,
    isSuspended: false,
  }

  /** Logs in whenever nobody is logged in, until it succeeds. */
  const tend = async () => {
    while (!end.signal.aborted) {
      try {
        if (!(await client.user())) await client.logIn(credentials)
        state.live ??= await client.todos.live()
      } catch {}
      await on.sleep(2000)
    }
  }
  tend()
  return {
    client: client satisfies Client,
    live: () => state.live,
    isSuspended: () => state.isSuspended,
    ...device,
    suspend: () => {
      state.isSuspended = true
      suspend()
    },
    resume: () => {
      state.isSuspended = false
      resume()
    },
    loseAccess: () => expireToken(given.profile.storage),
    /** Its tabs log in again, later. */
    logOut: () => {
      client.logOut({ pending: random.chance(0.5) ? "keep" : "send" }).catch(() => {})
    },
    kill: () => {
      end.abort()
      resume()
    },
  }
}
