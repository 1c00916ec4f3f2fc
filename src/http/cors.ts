/** Which web pages of other origins may call this API: https://fetch.spec.whatwg.org/#http-cors-protocol */
import { Elysia } from "elysia"

/** What a page may read of an answer beside its content type and length. */
const EXPOSED = [
  "ETag",
  "Link",
  "Location",
  "Retry-After",
  "X-Request-Id",
  "X-Total-Count",
  "Idempotent-Replayed",
] as const
export type ExposedHeader = (typeof EXPOSED)[number]

/** What a page may send. */
const SENT = [
  "Authorization",
  "Content-Type",
  "Idempotency-Key",
  "If-Match",
  "If-None-Match",
  "X-Request-Id",
] as const
export type SentHeader = (typeof SENT)[number]

const preflight = {
  "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
  "access-control-allow-headers": SENT.join(", "),
  // Seconds: the most that browsers keep it (Chromium's limit).
  "access-control-max-age": "7200",
}

/** Without credentials: a token in the Authorization header is none that a browser adds itself. */
export const cors = (origins: string[]) => {
  const allowsAll = origins.includes("*")
  const allowed = new Set(origins)
  const plugin = new Elysia({ name: "cors" })
  if (origins.length === 0) return plugin
  return plugin.onRequest(({ request, set }) => {
    if (!allowsAll) set.headers.vary = "Origin"
    const origin = request.headers.get("origin")
    if (origin === null || !(allowsAll || allowed.has(origin))) return
    set.headers["access-control-allow-origin"] = allowsAll ? "*" : origin
    set.headers["access-control-expose-headers"] = EXPOSED.join(", ")
    if (request.method === "OPTIONS" && request.headers.has("access-control-request-method"))
      Object.assign(set.headers, preflight)
  })
}
