/** A client that can be killed at any moment, with a storage that outlives it. */
import { type Client, createClientOn } from "../../../src/client/client.ts"
import type { Live } from "../../../src/client/live/live.ts"
import { createChannels, createLocks, type Platform } from "../../../src/client/platform.ts"
import { memoryStorage } from "../../../src/client/storage/memory.ts"
import type { Storage } from "../../../src/client/storage/storage.ts"
import type { Clock } from "./clock.ts"
import { faultyFetch, type Network, type Service } from "./network.ts"
import type { Random } from "./random.ts"

const never = new Promise<never>(() => {})

/** What the tabs of one browser share. */
export const createProfile = (index: number) => ({
  index,
  storage: memoryStorage(),
  lock: createLocks(),
  channel: createChannels(),
})
export type Profile = ReturnType<typeof createProfile>

type Given = {
  /** Whether tabs have Web Locks. Pages without TLS have none. */
  hasLocks: boolean
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
  const skew = (random.random() - 0.5) * 1e12
  const listeners = new Set<() => void>()
  const lock = hasLocks ? profile.lock : createLocks()
  const death = new Promise<never>((_, reject) =>
    end.addEventListener("abort", () => reject(new Error("killed")), { once: true }),
  )
  death.catch(() => {})
  /** A promise that never settles once the client is killed. */
  const alive = async <T>(value: Promise<T>): Promise<T> => {
    try {
      const settled = await value
      return end.aborted ? never : settled
    } catch (error) {
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
    now: () => Date.now() + skew,
    random: random.random,
    sleep: (milliseconds, signal) => alive(clock.sleep(milliseconds, signal)),
    lock: (name, signal, run) =>
      alive(lock(name, anyOf(signal, end), () => Promise.race([run(), death]))),
    channel: (name, onMessage) =>
      profile.channel(name, (message) => end.aborted || onMessage(message)),
    isOnline: () => isOnline,
    onOnline: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const storage: Storage = {
    name: profile.storage.name,
    read: (key) => (end.aborted ? never : alive(profile.storage.read(key))),
    update: (key, change) => (end.aborted ? never : alive(profile.storage.update(key, change))),
  }
  const setOnline = (next: boolean) => {
    isOnline = next
    if (next) for (const listener of listeners) listener()
  }
  return { on, storage, setOnline }
}

const anyOf = (...signals: (AbortSignal | null | undefined)[]) =>
  AbortSignal.any(signals.filter((signal) => signal !== null && signal !== undefined))

export type Device = Awaited<ReturnType<typeof startDevice>>

export const startDevice = async (given: Given, credentials: Credentials) => {
  const end = new AbortController()
  const { on, storage, setOnline } = runningOn(given, end.signal)
  const client = createClientOn(on, { url: "http://service", storage })
  const state: { live: Live | undefined } = { live: undefined }

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
    setOnline,
    loseAccess: () =>
      given.profile.storage.update("session", (session) =>
        session ? { ...session, access_token: "expired" } : session,
      ),
    kill: () => end.abort(),
  }
}
