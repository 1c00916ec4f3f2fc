/** Which web pages of other origins may call this API: https://fetch.spec.whatwg.org/#http-cors-protocol */
import { Elysia } from "elysia"
import type { Logger } from "pino"

/** What a page may read of an answer beside its content type and length. */
const EXPOSED = [
  "ETag",
  "Link",
  "Location",
  "Retry-After",
  "X-Request-Id",
  "X-Total-Count",
  "Idempotent-Replayed",
  "RateLimit",
  "RateLimit-Policy",
] as const
export type ExposedHeader = (typeof EXPOSED)[number]

/** What a page may send. */
const SENT = [
  "Authorization",
  "Content-Type",
  "Idempotency-Key",
  "If-Match",
  "If-None-Match",
  "Prefer",
  "X-Request-Id",
] as const
export type SentHeader = (typeof SENT)[number]

const exposedHeaders = EXPOSED.join(", ")

const preflight = {
  "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
  "access-control-allow-headers": SENT.join(", "),
  // Seconds: the most that browsers keep it (Chromium's limit).
  "access-control-max-age": "7200",
}

/** Origins whose refusal is remembered, so that each is logged once. */
const REMEMBERED = 100
/** Characters of an origin that are logged: a client may send more. */
const LOGGED = 200

/** Tells the operator, once for each origin, which page would be let in by which variable. */
const createRefusalLog = (log: Logger) => {
  const told = new Set<string>()
  return (origin: string) => {
    if (told.size >= REMEMBERED || told.has(origin)) return
    told.add(origin)
    log.warn(
      { origin: origin.slice(0, LOGGED) },
      "a page was refused: its origin is not in CORS_ORIGINS",
    )
  }
}

/** Without credentials: a token in the Authorization header is none that a browser adds itself. */
export const cors = (origins: string[], log: Logger) => {
  const allowsAll = origins.includes("*")
  const allowed = new Set(origins)
  const logRefusal = createRefusalLog(log)
  return new Elysia({ name: "cors" }).onRequest(({ request, set }) => {
    if (origins.length > 0 && !allowsAll) set.headers.vary = "Origin"
    const origin = request.headers.get("origin")
    if (origin === null) return
    const isPreflight =
      request.method === "OPTIONS" && request.headers.has("access-control-request-method")
    if (!(allowsAll || allowed.has(origin))) {
      if (isPreflight) logRefusal(origin)
      return
    }
    set.headers["access-control-allow-origin"] = allowsAll ? "*" : origin
    set.headers["access-control-expose-headers"] = exposedHeaders
    if (isPreflight) Object.assign(set.headers, preflight)
  })
}
