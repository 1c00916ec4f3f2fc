/** Answers in place of the service's, as proxies, firewalls and captive portals give them. */
import type { Reach } from "./live.ts"
import type { Random } from "./simulation/random.ts"

type Problem = { error_code: string; status: number; detail: string }

/** As the service itself answers. */
export const problem = (body: Problem, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), {
    status: body.status,
    headers: { "content-type": "application/problem+json", ...headers },
  })

const html = "<!doctype html><title>Welcome</title>Please log in to the WiFi"

/** What stands in the body: of nobody that the client knows. */
const BODIES: Record<string, { type: string; text: string }> = {
  html: { type: "text/html", text: html },
  "JSON that is HTML": { type: "application/json", text: html },
  empty: { type: "text/plain", text: "" },
  null: { type: "application/json", text: "null" },
  object: { type: "application/json", text: "{}" },
  array: { type: "application/json", text: "[]" },
  "odd members": {
    type: "application/json",
    text: JSON.stringify({
      ...{ results: {}, changes: [{}], next: 7, has_more: true, id: "1", email: 7 },
      ...{ access_token: "", refresh_token: null, title: 5 },
    }),
  },
  "an error of others": { type: "application/json", text: '{"error":"blocked by the proxy"}' },
  "a problem of others": {
    type: "application/problem+json",
    text: '{"type":"about:blank","title":"Blocked","detail":"Blocked by the firewall"}',
  },
}
export const bodies = Object.keys(BODIES)

/** All that a Response may have, but for those without a body. */
export const statuses = [
  ...[200, 201, 202, 203, 206, 226, 300, 301, 302, 303, 307, 308],
  ...Array.from({ length: 18 }, (_, index) => 400 + index),
  ...[421, 422, 423, 424, 425, 426, 428, 429, 431, 451],
  ...Array.from({ length: 9 }, (_, index) => 500 + index),
  ...[510, 511],
]

export const answerWith = (status: number, body: string, headers: Record<string, string> = {}) => {
  const { type = "", text = "" } = BODIES[body] ?? {}
  return new Response(text, { status, headers: { "content-type": type, ...headers } })
}

const lost = () => new TypeError("The connection was reset")
const untilAborted = (signal: AbortSignal | null | undefined) =>
  new Promise<never>((_, reject) => {
    if (signal?.aborted) reject(signal.reason)
    signal?.addEventListener("abort", () => reject(signal.reason))
  })

/** The first half of the real answer, and then the connection breaks. */
const cut = async (response: Response) => {
  const text = await response.text()
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode(text.slice(0, text.length / 2)))
      controller.error(lost())
    },
  })
  return new Response(body, response)
}

/** What a bad network does to one request, by the seed. */
export const badNetwork =
  (random: Random, isBad: () => boolean) =>
  (reach: Reach): Reach => {
    const { chance, below, oneOf } = random
    return async (path, init) => {
      if (!isBad()) return reach(path, init)
      if (chance(0.15)) throw lost()
      if (chance(0.05)) return untilAborted(init.signal)
      if (chance(0.2)) await Bun.sleep(below(30))
      if (chance(0.5)) {
        const headers = chance(0.2) ? { "retry-after": String(oneOf([0, 1, -1])) } : {}
        return answerWith(oneOf(statuses) ?? 200, oneOf(bodies) ?? "", headers as never)
      }
      const isStream = path.endsWith("/events")
      const response = await reach(path, init)
      if (chance(0.3)) throw lost()
      if (chance(0.2) && !isStream && response.status !== 204) return cut(response)
      return response
    }
  }
