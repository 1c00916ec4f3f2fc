/** A faulty network to the real service: loses, repeats and delays messages, cuts off streams. */
import type { Result } from "../../../src/client/live/model.ts"
import type { Clock } from "./clock.ts"
import type { Random } from "./random.ts"

/** The service under test, which may be unreachable for a while. */
export type Service = { fetch(path: string, init: RequestInit): Promise<Response> }

export type Network = {
  isHealed: boolean
  /** The profile that made a version, by version name, according to the answers of the service. */
  authors: Map<string, number>
  /** Batches that the service still executes, even if no client is waiting for them any more. */
  underWay: Set<Promise<unknown>>
}

export const createNetwork = (): Network => ({
  isHealed: false,
  authors: new Map(),
  underWay: new Set(),
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
  isOnline: () => boolean
}

export const faultyFetch = ({ service, network, random, clock, profile, isOnline }: Given) => {
  const { chance, below } = random

  /** Ignores the signal, so that the author is recorded even if the client is killed meanwhile. */
  const batch = async (path: string, init: RequestInit) => {
    const response = await service.fetch(path, { ...init, signal: null })
    const text = await response.text()
    if (response.ok) {
      const { operations } = JSON.parse(String(init.body)) as { operations: Sent[] }
      const { results } = JSON.parse(text) as { results: Result[] }
      operations.forEach((sent, index) => {
        const result = results[index]
        const made = result && madeVersion(sent, result)
        if (made !== undefined) network.authors.set(made, profile)
      })
    }
    return new Response(text, response)
  }

  const reach = (path: string, init: RequestInit): Promise<Response> => {
    const isWaiting = new Headers(init.headers).has("prefer")
    // The client asks for 30 seconds of its own time, which is 0.6 s of real time: rounded up.
    if (isWaiting)
      return service.fetch(path, { ...init, headers: { ...init.headers, prefer: "wait=1" } })
    if (!path.endsWith("/batch")) return clock.during(service.fetch(path, init))
    const answered = clock.during(batch(path, init))
    const settled = answered.catch(() => {}).finally(() => network.underWay.delete(settled))
    network.underWay.add(settled)
    return Promise.race([answered, untilAborted(init.signal)])
  }

  /** Passes a stream on until it is cut off. The clock waits for the first event, sent at once. */
  const stream = async (path: string, init: RequestInit, after: Promise<void> | undefined) => {
    const response = await reach(path, init)
    const reader = response.body?.getReader()
    const cut = after?.then(() => {
      reader?.cancel().catch(() => {})
      throw lost()
    })
    cut?.catch(() => {})
    let isFirst = true
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const chunk = Promise.race([reader?.read(), ...(cut ? [cut] : [])])
        const { done, value } = (await (isFirst ? clock.during(chunk) : chunk)) ?? { done: true }
        isFirst = false
        if (done || !value) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => reader?.cancel(),
    })
    return new Response(body, response)
  }

  return async (path: string, init: RequestInit): Promise<Response> => {
    const isStream = path.endsWith("/events")
    if (!isOnline()) throw lost()
    if (network.isHealed) return isStream ? stream(path, init, undefined) : reach(path, init)
    if (chance(0.08)) throw lost()
    if (chance(0.02)) return untilAborted(init.signal)
    if (chance(0.2)) await clock.sleep(below(1_000))
    if (isStream) return stream(path, init, clock.sleep(below(20_000)))
    if (chance(0.05))
      clock.sleep(below(1_500)).then(() => reach(path, { ...init, signal: null }).catch(() => {}))
    const response = await reach(path, init)
    if (chance(0.08) || !isOnline()) throw lost()
    if (chance(0.2)) await clock.sleep(below(1_000))
    return response
  }
}
