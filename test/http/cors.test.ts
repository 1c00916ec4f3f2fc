/** CORS: which pages may read the answers. */
import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"
import { startProcess } from "../support/process.ts"

const OURS = "https://app.example"
const EXPOSED =
  "ETag, Link, Location, Retry-After, X-Request-Id, X-Total-Count, Idempotent-Replayed, " +
  "RateLimit, RateLimit-Policy"

test("a page of a listed origin may read every answer, errors too, and one of another may not", async () => {
  await using app = await startApp({ CORS_ORIGINS: `${OURS}, https://other.example` })
  for (const path of ["/health/live", "/nowhere", "/api/v1/todos"]) {
    const { headers } = await app.call("GET", path, { headers: { origin: OURS } })
    expect(headers.get("access-control-allow-origin")).toBe(OURS)
    expect(headers.get("access-control-expose-headers")).toBe(EXPOSED)
    expect(headers.has("access-control-allow-credentials")).toBe(false)
    const refused = await app.call("GET", path, { headers: { origin: "https://evil.example" } })
    expect(refused.headers.has("access-control-allow-origin")).toBe(false)
    // A cache must not hand one origin's answer to another.
    for (const answer of [headers, refused.headers]) expect(answer.get("vary")).toBe("Origin")
  }
  const { headers } = await app.call("GET", "/openapi.json", { headers: { origin: OURS } })
  expect(headers.get("vary")).toBe("Origin, accept-encoding")
})

test("a preflight is answered without a token, for listed origins alone", async () => {
  await using app = await startApp({ CORS_ORIGINS: OURS })
  const preflight = (origin: string) =>
    app.call("OPTIONS", "/api/v1/todos/1", {
      headers: {
        origin,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization,content-type,if-match",
      },
    })
  const { status, headers } = await preflight(OURS)
  expect(status).toBe(204)
  expect(headers.get("access-control-allow-origin")).toBe(OURS)
  expect(headers.get("access-control-allow-methods")).toContain("PATCH")
  const allowed = headers.get("access-control-allow-headers")?.toLowerCase()
  const sent = ["authorization", "content-type", "if-match", "if-none-match", "idempotency-key"]
  const ofTracing = ["traceparent", "tracestate", "baggage", "sentry-trace"]
  for (const name of [...sent, "prefer", "x-request-id", ...ofTracing])
    expect(allowed).toContain(name)
  expect(headers.get("access-control-max-age")).toBe("7200")
  const refused = (await preflight("https://evil.example")).headers
  expect(refused.has("access-control-allow-origin")).toBe(false)
  expect(refused.has("access-control-allow-methods")).toBe(false)
})

test("* lets every origin in, and without CORS_ORIGINS none is", async () => {
  await using open = await startApp({ CORS_ORIGINS: "*" })
  await using closed = await startApp()
  const headersOf = async ({ call }: typeof open) =>
    (await call("GET", "/health/live", { headers: { origin: OURS } })).headers
  expect((await headersOf(open)).get("access-control-allow-origin")).toBe("*")
  expect((await headersOf(open)).has("vary")).toBe(false)
  expect((await headersOf(closed)).has("access-control-allow-origin")).toBe(false)
})

test("a page that is refused is logged once, with the variable that lets it in", async () => {
  await using service = await startProcess()
  for (const origin of ["http://localhost:5173", "http://localhost:5173", "https://b.example"])
    await service.call("OPTIONS", "/api/v1/todos", {
      headers: { origin, "access-control-request-method": "GET" },
    })
  await service.stop()
  const refusals = (await service.lines()).filter(({ msg }) => String(msg).includes("CORS_ORIGINS"))
  expect(refusals.map(({ origin }) => origin)).toEqual([
    "http://localhost:5173",
    "https://b.example",
  ])
})

test("invented origins neither silence the log of refused pages nor get into it", async () => {
  await using service = await startProcess()
  const preflight = (origin: string) =>
    service.call("OPTIONS", "/api/v1/todos", {
      headers: { origin, "access-control-request-method": "GET" },
    })
  for (let n = 0; n < 150; n++) await preflight(`https://invented-${n}.example`)
  for (const raw of ["<script>alert(1)</script>", `https://${"x".repeat(5_000)}`, 'a" b'])
    await preflight(raw)
  await preflight("https://app.example")
  await service.stop()
  const origins = (await service.lines())
    .filter(({ msg }) => String(msg).includes("CORS_ORIGINS"))
    .map(({ origin }) => origin)
  expect(origins).toHaveLength(152)
  expect(origins.slice(-2)).toEqual(["none that a browser sends", "https://app.example"])
})

test("a page of an application may be let in, whatever its scheme", async () => {
  const origins = ["capacitor://localhost", "tauri://localhost", "app://."]
  await using app = await startApp({ CORS_ORIGINS: origins.join() })
  for (const origin of origins) {
    const { headers } = await app.call("GET", "/health/live", { headers: { origin } })
    expect(headers.get("access-control-allow-origin")).toBe(origin)
  }
})
