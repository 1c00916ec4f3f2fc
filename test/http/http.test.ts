/** What HTTP itself asks of every route, whatever bytes a client sends. */
import { describe, expect, test } from "bun:test"
import type { App } from "../support/app.ts"
import { openRaw, rawRequest } from "../support/raw.ts"
import { shareApp } from "../support/shared-app.ts"

const { app } = await shareApp()
const ada = await app.user()
const credentials = { Authorization: `Bearer ${ada.token}`, "content-type": "application/json" }

const TODOS = "/api/v1/todos"
const expectProblem = (
  { status, headers, body }: Awaited<ReturnType<App["call"]>>,
  expected: number,
  code: string,
) => {
  expect(status).toBe(expected)
  expect(headers.get("content-type")).toBe("application/problem+json")
  expect(body).toMatchObject({ type: "about:blank", status: expected, error_code: code })
  const { detail, timestamp } = body as Record<string, string>
  expect(detail).not.toBe("")
  expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
}

describe("bodies", () => {
  const post = (body: unknown, headers = {}) =>
    app.call("POST", TODOS, { body, headers: { ...credentials, ...headers } })

  for (const size of [65_537, 5_000_000]) {
    test(`of ${size} bytes are a 413, with a length and without one`, async () => {
      const bytes = new Uint8Array(size).fill(0x20)
      expectProblem(await post(bytes), 413, "PAYLOAD_TOO_LARGE")
      const stream = new Blob([bytes]).stream()
      expectProblem(await post(stream), 413, "PAYLOAD_TOO_LARGE")
    })
  }

  test("of 65,536 bytes are read, with a length and without one", async () => {
    const text = JSON.stringify({ title: "milk" }).padEnd(65_536)
    expect((await post(text)).status).toBe(201)
    expect((await post(new Blob([text]).stream())).status).toBe(201)
  })

  test("of another type, charset or coding are a 415", async () => {
    const charsets = ["=latin1", " = latin1", '="utf-8', "", "=utf-8; charset=latin1"]
    const types = charsets.map((charset) => `application/json; charset${charset}`)
    for (const type of ["text/plain", "application/xml", "", ...types])
      expectProblem(await post("{}", { "content-type": type }), 415, "UNSUPPORTED_MEDIA_TYPE")
    expectProblem(await post("{}", { "content-encoding": "gzip" }), 415, "UNSUPPORTED_MEDIA_TYPE")
    for (const type of ['application/json; charset="UTF-8"', "application/json;charset=utf-8;"])
      expect((await post({ title: "milk" }, { "content-type": type })).status).toBe(201)
  })

  test("that are no JSON, or no UTF-8, are a 400 that does not repeat them", async () => {
    const broken = ["", "{", "nonsense", '{"title":"milk",}', new Uint8Array([0x22, 0xff, 0x22])]
    for (const body of broken) {
      const answer = await post(body)
      expectProblem(answer, 400, "BAD_REQUEST")
      expect(answer.text).not.toContain("nonsense")
    }
  })

  test("are not looked at before a stranger is refused", async () => {
    for (const body of ["{", "x".repeat(100_000)])
      expectProblem(await app.call("POST", TODOS, { body }), 401, "UNAUTHORIZED")
  })

  test("are ignored by routes that take none", async () => {
    for (const body of ["{", new Uint8Array([0xff]), "x".repeat(100_000)]) {
      const path = `${TODOS}/9007199254740991/restore`
      expectProblem(
        await app.call("POST", path, { body, headers: credentials }),
        404,
        "TODO_NOT_FOUND",
      )
    }
  })

  test("of more values than any route takes, in whatever order and depth, are refused before they are parsed", async () => {
    const batch = (body: string) =>
      app.call("POST", `${TODOS}/batch`, { body, headers: credentials })
    const names = Array.from({ length: 60_000 }, (_, n) => `"k${n}":0`).join()
    for (const body of [
      `[${"0,".repeat(500_000)}0]`,
      `{${names}}`,
      `[${"[],".repeat(300_000)}[]]`,
      "[".repeat(1_000_000),
      `${'{"a":'.repeat(170_000)}0${"}".repeat(170_000)}`,
    ]) {
      const answer = await batch(body)
      expectProblem(answer, 400, "BAD_REQUEST")
      expect(answer.body).toMatchObject({ errors: [{ message: "has more than 10000 values" }] })
    }
    expect((await batch("[".repeat(9_000) + "]".repeat(9_000))).status).toBe(400)
    // Brackets and commas in strings are no values, and escaped quotes do not end one.
    const title = '[[[[{{{{,\\"'.repeat(20)
    expect((await post({ title })).body).toMatchObject({ title })
    expect((await post({ title: "a", description: ",".repeat(999) })).status).toBe(201)
  })

  test("that are large are read in turns: one user's do not delay another's", async () => {
    const bob = await app.user()
    const body = `{"operations":[]${" ".repeat(1_000_000)}}`
    const begin = async (name: string, token: string) => {
      const client = openRaw(app.url)
      const headers = {
        Authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "Content-Length": String(body.length),
      }
      await client.send(rawRequest(`POST ${TODOS}/batch`, headers, body.slice(0, -1)))
      return { name, ...client }
    }
    const clients = [
      ...(await Promise.all(Array.from({ length: 20 }, () => begin("ada", ada.token)))),
      await begin("bob", bob.token),
    ]
    const ended: string[] = []
    // All of them are complete at once: only their turns are left.
    for (const { send } of clients) send(body.slice(-1))
    await Promise.all(
      clients.map(async ({ name, answered, statuses, destroy }) => {
        await answered
        ended.push(name)
        expect(await statuses(1)).toEqual([400])
        destroy()
      }),
    )
    expect(ended.indexOf("bob")).toBeLessThan(15)
  })

  test("that a client gives up on harm nobody", async () => {
    const client = openRaw(app.url)
    await client.send(rawRequest(`POST ${TODOS}`, { ...credentials, "Content-Length": "100" }, "{"))
    await Bun.sleep(20)
    client.destroy()
    expect((await ada.get("/todos")).status).toBe(200)
  })
})

describe("what is left unread of a body is never taken for a request", () => {
  const smuggled = rawRequest("GET /smuggled")
  const length = { "Content-Length": String(smuggled.length) }
  const chunked = { "Transfer-Encoding": "chunked" }
  const chunks = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
  const tooMuch = smuggled.repeat(4_000)
  const cases: [name: string, status: number, request: () => string][] = [
    ["after a 401", 401, () => rawRequest(`POST ${TODOS}`, length, smuggled)],
    ["after a 401, in chunks", 401, () => rawRequest(`POST ${TODOS}`, chunked, chunks)],
    ["after a 404", 404, () => rawRequest("POST /nowhere", length, smuggled)],
    ["after a 405", 405, () => rawRequest(`DELETE ${TODOS}`, length, smuggled)],
    [
      "after a 415",
      415,
      () =>
        rawRequest(
          `POST ${TODOS}`,
          { ...credentials, "content-type": "text/plain", ...length },
          smuggled,
        ),
    ],
    [
      "after a 413",
      413,
      () =>
        rawRequest(
          `POST ${TODOS}`,
          { ...credentials, "Content-Length": String(tooMuch.length) },
          tooMuch,
        ),
    ],
    [
      "after a 413, in chunks",
      413,
      () =>
        rawRequest(
          `POST ${TODOS}`,
          { ...credentials, ...chunked },
          `${tooMuch.length.toString(16)}\r\n${tooMuch}\r\n0\r\n\r\n`,
        ),
    ],
    ["of a GET", 200, () => rawRequest(`GET ${TODOS}`, { ...credentials, ...length }, smuggled)],
  ]
  for (const [name, status, request] of cases)
    test(name, async () => {
      const client = openRaw(app.url)
      await client.send(request())
      expect(await client.statuses(1)).toEqual([status])
      await client.send(rawRequest("GET /health/live"))
      expect(await client.statuses(2)).toEqual([status, 200])
      client.destroy()
    })

  const ambiguous: [name: string, headers: Record<string, string>][] = [
    ["a length beside chunks", { "Content-Length": "4", "Transfer-Encoding": "chunked" }],
    ["a coding that is nearly chunked", { "Content-Length": "0", "Transfer-Encoding": "xchunked" }],
    ["two lengths", { "Content-Length": "4", "content-length": "0" }],
    ["a signed length", { "Content-Length": "+4" }],
    ["a hexadecimal length", { "Content-Length": "0x4" }],
    ["a negative length", { "Content-Length": "-4" }],
  ]
  for (const [name, headers] of ambiguous)
    test(`${name} is refused, and the connection closed`, async () => {
      const client = openRaw(app.url)
      await client.send(rawRequest(`POST ${TODOS}`, { ...credentials, ...headers }, "0\r\n\r\n"))
      await client.closed
      expect(await client.statuses(1)).toEqual([400])
    })
})

describe("methods", () => {
  test("that a path lacks are a 405 that tells the others", async () => {
    const answer = await app.call("DELETE", TODOS)
    expectProblem(answer, 405, "METHOD_NOT_ALLOWED")
    expect(answer.headers.get("allow")).toBe("GET, HEAD, OPTIONS, POST")
  })

  test("are told by OPTIONS, to strangers too", async () => {
    const answer = await app.call("OPTIONS", `${TODOS}/1`)
    expect(answer.status).toBe(204)
    expect(answer.headers.get("allow")).toBe("DELETE, GET, HEAD, OPTIONS, PATCH, PUT")
    expectProblem(await app.call("OPTIONS", "/nowhere"), 404, "NOT_FOUND")
  })

  test("HEAD is answered as GET is, without the body", async () => {
    for (const path of [TODOS, `${TODOS}/1`, "/health/live", "/nowhere"]) {
      const [head, get] = [
        await app.call("HEAD", path, { headers: credentials }),
        await app.call("GET", path, { headers: credentials }),
      ]
      expect(head.status).toBe(get.status)
      expect(head.text).toBe("")
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"))
    }
  })
})

test("unknown and repeated query parameters are each named in a 400", async () => {
  const { status, body } = await ada.get("/users/me?one=1&two=2&two=3&two=4&%ff=4&a/~b=5")
  expect(status).toBe(400)
  const { errors } = body as { errors: { parameter: string; message: string }[] }
  expect(Object.fromEntries(errors.map((rule) => [rule.parameter, rule.message]))).toEqual({
    one: "is not a known parameter",
    two: "must not be repeated",
    "%ff": "is not valid UTF-8",
    "a/~b": "is not a known parameter",
  })
  expect(errors).toHaveLength(4)
})

test("a query of thousands of parameters, or with a long one, is refused without all of it being read", async () => {
  const rulesOf = async (query: string) =>
    (await ada.get(`/todos?${query}`)).body as {
      errors: { parameter: string; message: string }[]
    }
  const many = await rulesOf(Array.from({ length: 1_000 }, (_, n) => `p${n}=1`).join("&"))
  expect(many.errors.map(({ parameter }) => parameter)).toContain("p0")
  expect((await rulesOf(`${"&".repeat(1_000)}p=1`)).errors).toEqual([
    { parameter: "p", message: "is not a known parameter" },
  ])
  expect((await rulesOf(`q=${"x".repeat(5_000)}`)).errors).toEqual([
    { parameter: "q", message: "is too long" },
  ])
})

test("every answer has a request id: the caller's where it is safe, else one of ours", async () => {
  const idFor = async (path: string, id?: string) =>
    (
      await app.call("GET", path, { headers: id === undefined ? {} : { "x-request-id": id } })
    ).headers.get("x-request-id")
  for (const path of ["/health/live", "/nowhere", TODOS]) {
    expect(await idFor(path, "a.B-9_")).toBe("a.B-9_")
    expect(await idFor(path, "x".repeat(128))).toBe("x".repeat(128))
    for (const unsafe of [undefined, "", "x".repeat(129), "a b", 'a"b', "é"])
      expect(await idFor(path, unsafe)).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab]/)
  }
})

test("every answer says that its type is meant as it says", async () => {
  for (const path of ["/health/live", "/nowhere", TODOS])
    expect((await app.call("GET", path)).headers.get("x-content-type-options")).toBe("nosniff")
})

test("a Host that is none changes neither who may call nor what is answered", async () => {
  for (const host of ["a", "", "a/health/live?", "[::no", "a b", "%zz@@"]) {
    const client = openRaw(app.url)
    await client.send(rawRequest(`GET ${TODOS}`, { Host: host }))
    expect(await client.statuses(1)).toEqual([401])
    await client.send(rawRequest("GET /nowhere", { Host: host }))
    expect(await client.statuses(2)).toEqual([401, 404])
    client.destroy()
  }
})

test("more headers than anybody needs are refused", async () => {
  const client = openRaw(app.url)
  await client.send(rawRequest("GET /health/live", { "x-flood": "x".repeat(20_000) }))
  expect(await client.statuses(1)).toEqual([431])
  await client.closed
})
