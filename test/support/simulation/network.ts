/** A faulty network to the real service: loses, repeats and delays messages, cuts off streams. */
import type { Result } from "../../../src/client/shapes.ts"
import type { Clock } from "./clock.ts"
import type { Random } from "./random.ts"

/** The service under test, which may be unreachable for a while. */
export type Service = { fetch(path: string, init: RequestInit): Promise<Response> }

export type Network = {
  isHealed: boolean
  /** The service is restarted, or gone from the network. */
  isDown: boolean
  /** The profile that made a version, by version name, according to the answers of the service. */
  authors: Map<string, number>
  /** Batches that the service still executes, even if no client is waiting for them any more. */
  underWay: Set<Promise<unknown>>
  /** Of streams and of answers that wait: called after each batch. */
  waiting: Set<() => void>
  /** Every request that reached the service. */
  trace: string[]
}

export const createNetwork = (): Network => ({
  isHealed: false,
  isDown: false,
  authors: new Map(),
  underWay: new Set(),
  waiting: new Set(),
  trace: [],
})

export const versionName = (id: number, version: number) => `${id}/${version}`
export const deletionName = (id: number, version: number) => `${id}/${version} deleted`
const versionOf = (etag: string) => Number(etag.slice(1, -1))

const lost = () => new TypeError("The connection was lost")

const untilAborted = (signal: AbortSignal | null | undefined) =>
  new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason)
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

type Sent = { op: "create" | "update" | "delete"; id?: number; if_match?: string }

/** Undefined for an update that changed nothing, or a repeat: the answer has an earlier version. */
const madeVersion = (
  { op, id = 0, if_match = "" }: Sent,
  { status, replayed, ...made }: Result,
) => {
  const { todo, etag = "" } = made
  if (status === 201 && todo) return versionName(todo.id, 1)
  if (status === 204) return deletionName(id, versionOf(if_match))
  const isNew = status === 200 && op === "update" && etag !== if_match && !replayed
  return isNew ? versionName(id, versionOf(etag)) : undefined
}

type Given = {
  service: Service
  network: Network
  random: Random
  clock: Clock
  profile: number
  /** Whether the service has a rule that the clients lack: see `TABOO`. */
  isStrict: boolean
  isOnline: () => boolean
}

/** Titles that end so are refused by a strict service. */
export const TABOO = " taboo"

/** An answer whose whole body is there: reading it takes no time of the machine. */
const answered = (response: Response, text: string) =>
  ({
    ok: response.ok,
    status: response.status,
    headers: response.headers,
    body: null,
    text: async () => text,
  }) as Response

const encoder = new TextEncoder()
/** How long an answer waits for a change, and how often a stream sends a heartbeat. */
const WAIT = 30_000
const HEARTBEAT = 15_000

export const faultyFetch = ({
  service,
  network,
  random,
  clock,
  profile,
  isStrict,
  isOnline,
}: Given) => {
  const { chance, below } = random

  const ask = (path: string, init: RequestInit) =>
    clock.during(async () => {
      network.trace.push(`${profile} ${init.method} ${path.split("?")[0]}`)
      const response = await service.fetch(path, { ...init, signal: null })
      return answered(response, await response.text())
    })

  /** Ignores the signal, so that the author is recorded even if the client is killed meanwhile. */
  const batch = async (path: string, init: RequestInit) => {
    const body = String(init.body)
    const taboo = new RegExp(`"title":"[^"]*${TABOO}"`, "g")
    const response = await ask(path, {
      ...init,
      body: isStrict ? body.replaceAll(taboo, '"title":""') : body,
    })
    if (response.ok) {
      const { operations } = JSON.parse(body) as { operations: Sent[] }
      const { results } = JSON.parse(await response.text()) as { results: Result[] }
      operations.forEach((sent, index) => {
        const result = results[index]
        const made = result && madeVersion(sent, result)
        if (made !== undefined) network.authors.set(made, profile)
      })
      for (const wake of [...network.waiting]) wake()
    }
    return response
  }

  /** Until something has changed, or so long at most. Returns whether it has changed. */
  const change = async (milliseconds: number, signal?: AbortSignal | null) => {
    const end = new AbortController()
    const wake = () => end.abort()
    network.waiting.add(wake)
    signal?.addEventListener("abort", wake)
    await clock.sleep(milliseconds, end.signal)
    signal?.removeEventListener("abort", wake)
    network.waiting.delete(wake)
    return end.signal.aborted
  }

  const reach = async (path: string, init: RequestInit): Promise<Response> => {
    if (network.isDown) throw lost()
    const { prefer, ...headers } = (init.headers ?? {}) as Record<string, string>
    if (prefer !== undefined) {
      const response = await ask(path, { ...init, headers })
      const { changes } = JSON.parse(await response.text()) as { changes?: unknown[] }
      if (changes?.length !== 0) return response
      await change(WAIT, init.signal)
      return ask(path, { ...init, headers })
    }
    if (!path.endsWith("/batch")) return ask(path, init)
    const done = batch(path, init)
    const settled = done.catch(() => {}).finally(() => network.underWay.delete(settled))
    network.underWay.add(settled)
    return Promise.race([done, untilAborted(init.signal)])
  }

  /** The first event of a stream of the service, which tells its current state. */
  const firstEvent = (path: string, init: RequestInit) =>
    clock.during(async () => {
      const leaving = new AbortController()
      const response = await service.fetch(path, { ...init, signal: leaving.signal })
      if (!response.ok) return answered(response, await response.text())
      const reader = response.body?.getReader()
      let text = ""
      while (!text.includes("data:")) {
        const { value, done } = (await reader?.read()) ?? { done: true }
        if (done) break
        text += new TextDecoder().decode(value)
      }
      leaving.abort()
      return answered(response, text)
    })

  /** Tells the state at once, and after each batch, until it is cut off. */
  const stream = async (path: string, init: RequestInit, until: number | undefined) => {
    if (network.isDown) throw lost()
    network.trace.push(`${profile} stream`)
    const first = await firstEvent(path, init)
    if (!first.ok) return first
    const { signal } = init
    const end = until === undefined ? Number.POSITIVE_INFINITY : clock.now() + until
    let next: string | undefined = await first.text()
    const read = async () => {
      for (;;) {
        if (signal?.aborted) throw signal.reason
        if (network.isDown || !isOnline() || clock.now() >= end) throw lost()
        if (next !== undefined) {
          const value = encoder.encode(next)
          next = undefined
          return { done: false, value }
        }
        const isChanged = await change(Math.min(HEARTBEAT, end - clock.now()), signal)
        if (signal?.aborted) continue
        const event = isChanged ? await firstEvent(path, init) : undefined
        if (event && !event.ok) return { done: true, value: undefined }
        next = event ? await event.text() : ":\n\n"
      }
    }
    const body = { getReader: () => ({ read, cancel: async () => {} }) }
    return { ok: true, status: first.status, headers: first.headers, body } as unknown as Response
  }

  return async (path: string, init: RequestInit): Promise<Response> => {
    const isStream = path.endsWith("/events")
    if (!isOnline()) throw lost()
    if (network.isHealed) return isStream ? stream(path, init, undefined) : reach(path, init)
    if (chance(0.08)) throw lost()
    if (chance(0.02)) return untilAborted(init.signal)
    if (chance(0.2)) await clock.sleep(below(1_000))
    if (isStream) return stream(path, init, below(20_000))
    if (chance(0.05))
      clock.sleep(below(1_500)).then(() => reach(path, { ...init, signal: null }).catch(() => {}))
    const response = await reach(path, init)
    if (chance(0.08) || !isOnline()) throw lost()
    if (chance(0.2)) await clock.sleep(below(1_000))
    return response
  }
}
