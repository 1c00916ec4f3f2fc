/** What the guard of a feature lets through, and what its routes get. */
import { afterAll, expect, test } from "bun:test"
import { Elysia, t } from "elysia"
import { createOfflineApp } from "../../src/commands/openapi.ts"
import { createClientOf } from "../../src/http/client-address.ts"
import { answerError } from "../../src/http/error-handler.ts"
import { anonymous, authenticated, authenticatedWithQueries } from "../../src/http/guard.ts"
import { createLargeBodies, jsonBody } from "../../src/http/json-body.ts"
import { Problem } from "../../src/http/problem.ts"
import { createRequestLog } from "../../src/http/request-log.ts"
import { leaveQueryUnread, queryOf } from "../../src/http/validation.ts"
import { createLog } from "../../src/log.ts"

const caller = { userId: 7, isStillValid: () => true }
const authenticate = async (authorization: string | null) => {
  if (authorization === "Bearer reader") return { ...caller, scopes: ["todos:read" as const] }
  if (authorization === "Bearer writer") return { ...caller, scopes: ["todos:write" as const] }
  if (authorization !== "Bearer all") throw new Problem("UNAUTHORIZED", "No")
  return caller
}
const gate = { tokens: { authenticate }, clientOf: createClientOf(["127.0.0.1"]) }
const none = { params: t.Object({ n: t.String() }, { additionalProperties: false }) }

const log = createLog("silent")
const { hooks, logRequest } = createRequestLog(log, undefined, () => false)
const app = new Elysia({ normalize: false })
app
  .onError(
    answerError({
      ...{ log, metrics: undefined, logRequest, methodsOf: () => [], answeredAt: () => 0 },
    }),
  )
  .onRequest(leaveQueryUnread)
  .decorate("largeBodies", createLargeBodies())
  .use(hooks)
  .use(authenticated(gate, "/users").get("", ({ caller: { userId } }) => ({ userId })))
  .get("/unread", ({ query }) => ({ query }), { query: t.Any() })
  .use(
    anonymous(gate, "/auth").get("", ({ client: { address, userAgent, signal } }) => ({
      address,
      userAgent,
      isGone: signal.aborted,
    })),
  )
  .use(
    authenticatedWithQueries(gate, "/todos", "todos")
      .get("", ({ query, wait = null, ifNoneMatch }) => ({ query, wait, ifNoneMatch }), {
        ...queryOf(t.Object({ q: t.Optional(t.String()) }, { additionalProperties: false })),
        prefer: true,
        ifNoneMatch: true,
      })
      .put(
        "/:n",
        ({ ifMatch, idempotencyKey, body }) => ({ ifMatch: ifMatch ?? null, idempotencyKey, body }),
        {
          ...jsonBody(t.Object({ a: t.String() }, { additionalProperties: false })),
          ...none,
          ifMatch: true,
          idempotencyKey: true,
        },
      ),
  )
  .listen({ port: 0, hostname: "127.0.0.1" })
afterAll(() => app.stop(true))

const ask = async (
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
) => {
  const response = await fetch(new URL(path, app.server?.url), {
    method,
    headers,
    ...(body !== undefined && { body }),
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}
const all = { authorization: "Bearer all" }

test("a stranger is refused before the query and the body, and nobody stores what is about accounts", async () => {
  for (const path of ["/users?x=1", "/todos?x=1"]) expect((await ask("GET", path)).status).toBe(401)
  expect((await ask("PUT", "/todos/1", {}, "{")).status).toBe(401)
  expect((await ask("GET", "/users", all)).headers.get("cache-control")).toBe("no-store")
  expect((await ask("GET", "/users")).headers.get("cache-control")).toBe("no-store")
  expect((await ask("GET", "/todos", all)).headers.get("cache-control")).toBe("private, no-cache")
})

test("a query is refused where none is declared, and read where one is", async () => {
  expect((await ask("GET", "/users?x=1", all)).body["errors"]).toEqual([
    { parameter: "x", message: "is not a known parameter" },
  ])
  expect((await ask("GET", "/auth?x=1")).status).toBe(400)
  expect((await ask("GET", "/todos?q=a%20b", all)).body["query"]).toEqual({ q: "a b" })
  expect((await ask("GET", "/todos?q=%ff", all)).body["errors"]).toEqual([
    { parameter: "q", message: "is not valid UTF-8" },
  ])
})

test("Elysia leaves queries unread, since it reads them slowly, and less strictly", async () => {
  expect((await ask("GET", "/unread?q=1")).body).toEqual({ query: {} })
})

test("a scope lets in where its resource is, and writing includes reading", async () => {
  for (const [token, method, path, status] of [
    ["reader", "GET", "/todos", 200],
    ["reader", "PUT", "/todos/1", 403],
    ["writer", "GET", "/todos", 200],
    ["writer", "PUT", "/todos/1", 200],
    ["writer", "GET", "/users", 403],
  ] as const) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" }
    const response = await ask(method, path, headers, method === "PUT" ? '{"a":"b"}' : undefined)
    expect([token, method, path, response.status]).toEqual([token, method, path, status])
  }
})

test("a route gets the headers that it declares, and its document names them", async () => {
  const json = { ...all, "content-type": "application/json" }
  const declared = await ask(
    "PUT",
    "/todos/1",
    { ...json, "if-match": '"3", W/"4", "5"', "idempotency-key": "k" },
    '{"a":"b"}',
  )
  expect(declared.body).toMatchObject({ idempotencyKey: "k", body: { a: "b" } })
  expect(declared.body["ifMatch"]).toContain(5)
  expect((await ask("PUT", "/todos/1", json, '{"a":"b"}')).body).toMatchObject({
    ifMatch: null,
    idempotencyKey: null,
  })
  expect(
    (await ask("PUT", "/todos/1", { ...json, "idempotency-key": "a b" }, '{"a":"b"}')).status,
  ).toBe(400)
  expect(
    (await ask("GET", "/todos", { ...all, prefer: "wait=90", "if-none-match": "*" })).body,
  ).toMatchObject({
    wait: 60,
    ifNoneMatch: "*",
  })
  const put = app.routes.find(({ method }) => method === "PUT")
  expect(put?.hooks.detail.requestHeaders).toEqual(["If-Match", "Idempotency-Key"])
})

test("the client is whom a trusted proxy names, with what it calls itself", async () => {
  const headers = {
    "x-forwarded-for": "203.0.113.9",
    "user-agent": " curl/8 ",
  }
  expect((await ask("GET", "/auth", headers)).body).toEqual({
    address: "203.0.113.9",
    userAgent: "curl/8",
    isGone: false,
  })
})

test("no route makes Elysia read cookies, all headers or a body by itself", () => {
  // It does so for all routes as soon as one function that it knows passes its context on.
  for (const route of createOfflineApp().routes)
    expect(route.compile().toString()).not.toMatch(/parseCookie|toJSON|request\.body|formData/)
})
