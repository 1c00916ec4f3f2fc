/** CORS, for web pages of other origins: https://fetch.spec.whatwg.org/#http-cors-protocol */
import { Elysia } from "elysia"
import type { Logger } from "pino"
import { createCache } from "../concurrency/cache.ts"

/** Headers that a page may read, apart from those that it always may. */
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

/** Headers of requests that mean something to this API, beside those of every request. */
const OF_API = ["Idempotency-Key", "If-Match", "If-None-Match", "Prefer"] as const
export type ApiHeader = (typeof OF_API)[number]

/** Headers that a page may send. Those at the end are of tracing: pages add them to every request. */
const SENT = [
  ...["Authorization", "Content-Type", "X-Request-Id", ...OF_API],
  ...["traceparent", "tracestate", "baggage", "sentry-trace"],
]

const exposedHeaders = EXPOSED.join(", ")

const preflight = {
  "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
  "access-control-allow-headers": SENT.join(", "),
  // Seconds: the longest time for which Chromium keeps it.
  "access-control-max-age": "7200",
}

/** Refused origins that are remembered, so that each is logged only once. */
const REMEMBERED = 1_000
/** What looks like an origin. Nothing else that a client sends is logged. */
const ORIGIN = /^[a-z][a-z\d+.-]{0,30}:\/\/[\w.:[\]-]{1,100}$/i

/** Credentials need not be allowed: browsers add no Authorization header by themselves. */
export const cors = (origins: string[], log: Logger) => {
  const allowsAll = origins.includes("*")
  const allowed = new Set(origins)
  const logged = createCache<true>(REMEMBERED)
  const logRefusal = (given: string) => {
    const origin = ORIGIN.test(given) ? given : "none that a browser sends"
    if (logged.get(origin)) return
    logged.set(origin, true)
    log.warn({ origin }, "a page was refused: its origin is not in CORS_ORIGINS")
  }
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
