/** A network between clients and the real service that loses, repeats, delays and cuts off. */
import type { Random } from "./random.ts"

/** The service under test: where it listens, and it may be away. */
export type Service = { fetch(path: string, init: RequestInit): Promise<Response> }

export type Network = { isHealed: boolean }

export const createNetwork = (): Network => ({ isHealed: false })

const soon = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

const lost = () => new TypeError("The connection was lost")

const untilAborted = (signal: AbortSignal | null | undefined) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

/** Passes on what came before, and then no more. */
const cutOff = (response: Response, after: Promise<void>): Response => {
  const reader = response.body?.getReader()
  const cut = after.then(() => {
    reader?.cancel().catch(() => {})
    throw lost()
  })
  cut.catch(() => {})
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = (await Promise.race([reader?.read(), cut])) ?? { done: true }
      if (done || !value) controller.close()
      else controller.enqueue(value)
    },
    cancel: () => reader?.cancel(),
  })
  return new Response(body, response)
}

export const faultyFetch =
  (service: Service, network: Network, { chance, below }: Random, isOnline: () => boolean) =>
  async (path: string, init: RequestInit): Promise<Response> => {
    if (!isOnline()) throw lost()
    if (network.isHealed) return service.fetch(path, init)
    if (chance(0.08)) throw lost()
    if (chance(0.02)) return untilAborted(init.signal)
    if (chance(0.2)) await soon(below(20))
    if (path.endsWith("/events")) return cutOff(await service.fetch(path, init), soon(below(400)))
    if (chance(0.05)) soon(below(30)).then(() => service.fetch(path, init).catch(() => {}))
    const response = await service.fetch(path, init)
    if (chance(0.08) || !isOnline()) throw lost()
    if (chance(0.2)) await soon(below(20))
    return response
  }
