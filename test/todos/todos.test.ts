/** A todo: created, read, changed and deleted, by its owner alone. */
import { expect, test } from "bun:test"
import type postgres from "postgres"
import { shareApp } from "../support/shared-app.ts"
import { openSql } from "../support/sql.ts"

type Todo = Record<string, unknown> & { id: number }

const { app } = await shareApp()
const ada = await app.account()
const bob = await app.user()

const create = async (body: unknown = { title: "milk" }) => {
  const answer = await ada.post("/todos", body)
  expect(answer.status).toBe(201)
  const todo = answer.body as Todo
  return { ...answer, todo, path: `/todos/${todo.id}` }
}

const withoutTimestamp = (text: string) => text.replace(/"timestamp":"[^"]*"/, "")

test("a todo that was created can be read, changed and deleted", async () => {
  const { headers, body, path } = await create()
  expect(headers.get("location")).toBe(`/api/v1${path}`)
  expect((await ada.get(path)).body).toEqual(body)
  expect((await ada.patch(path, { is_completed: true })).body).toMatchObject({
    title: "milk",
    is_completed: true,
  })
  expect((await ada.delete(path)).status).toBe(204)
  expect((await ada.get(path)).status).toBe(404)
})

test("a todo has exactly the members of the contract", async () => {
  const { todo, headers } = await create()
  expect(todo).toEqual({
    id: expect.any(Number),
    title: "milk",
    description: null,
    is_completed: false,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    updated_at: todo["created_at"],
  })
  expect(headers.get("cache-control")).toBe("private, no-cache")
})

test("what a client got can be sent back with PUT, and changes nothing", async () => {
  const { todo, headers, path } = await create({ title: "tea", description: "green" })
  const put = await ada.put(path, todo)
  expect(put).toMatchObject({ status: 200, body: todo })
  expect(put.headers.get("etag")).toBe(headers.get("etag"))
})

test("the read-only members are ignored, and as small as a client got them", async () => {
  const { todo } = await create({ title: "x", id: 7, created_at: "long ago", updated_at: "" })
  expect(todo.id).not.toBe(7)
  for (const [member, value] of [
    ["id", "7"],
    ["id", null],
    ["id", 1.5],
    ["id", 1e300],
    ["id", [7]],
    ["created_at", 5],
    ["created_at", null],
    ["updated_at", { at: "now" }],
    ["updated_at", "x".repeat(41)],
  ] as const) {
    const broken = { title: "x", [member]: value }
    const rule = { status: 400, body: { errors: [{ pointer: `/${member}` }] } }
    expect(await ada.post("/todos", broken)).toMatchObject(rule)
    expect(await ada.patch(`/todos/${todo.id}`, broken)).toMatchObject(rule)
    const operations = [{ op: "create", todo: broken }]
    expect(await ada.post("/todos/batch", { operations })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: `/operations/0/todo/${member}` }] },
    })
  }
})

test("members that are left out of an update stay, and null clears the description", async () => {
  const { path } = await create({ title: "tea", description: "green", is_completed: true })
  for (const method of ["put", "patch"] as const) {
    expect((await ada[method](path, {})).body).toMatchObject({
      title: "tea",
      description: "green",
      is_completed: true,
    })
  }
  expect((await ada.put(path, { description: null })).body).toMatchObject({
    title: "tea",
    description: null,
  })
})

test("PATCH takes a merge patch, and PUT does not", async () => {
  const { path } = await create()
  const headers = { "content-type": "application/merge-patch+json" }
  expect((await ada.patch(path, { title: "tea" }, headers)).status).toBe(200)
  expect((await ada.put(path, { title: "tea" }, headers)).status).toBe(415)
})

test("updated_at and the entity tag move with every change, even within a millisecond", async () => {
  const { path, todo, headers } = await create()
  let before = { updated: todo["updated_at"] as string, etag: headers.get("etag") }
  for (const title of ["a", "b", "c", "d"]) {
    const answer = await ada.patch(path, { title })
    const { updated_at, created_at } = answer.body as Record<string, string>
    expect(created_at).toBe(todo["created_at"] as string)
    expect(String(updated_at) > before.updated).toBeTrue()
    expect(answer.headers.get("etag")).not.toBe(before.etag)
    before = { updated: String(updated_at), etag: answer.headers.get("etag") }
  }
})

const values: [string, unknown][] = [
  ["null", null],
  ["true", true],
  ["a number", 1],
  ["a string", "true"],
  ["an array", ["x"]],
  ["an object", { x: 1 }],
]
const accepted: Record<string, string[]> = {
  title: ["a string"],
  description: ["a string", "null"],
  is_completed: ["true"],
}
for (const [member, types] of Object.entries(accepted))
  for (const [name, value] of values) {
    const isAccepted = types.includes(name)
    test(`${name} is ${isAccepted ? "accepted" : "refused"} as ${member}`, async () => {
      const { path } = await create()
      const created = await ada.post("/todos", { title: "x", [member]: value })
      const updated = await ada.put(path, { [member]: value })
      expect([created.status, updated.status]).toEqual(isAccepted ? [201, 200] : [400, 400])
      if (!isAccepted)
        expect(created.body).toMatchObject({
          error_code: "BAD_REQUEST",
          errors: [{ pointer: `/${member}` }],
        })
    })
  }

for (const body of [null, true, 1, "text", [], [{ title: "x" }]])
  test(`${JSON.stringify(body)} is no todo`, async () => {
    expect((await ada.post("/todos", JSON.stringify(body))).status).toBe(400)
  })

test("every broken rule is named, and unknown members too", async () => {
  const answer = await ada.post("/todos", { title: "", description: 1, owner_id: 1, "a/b": 1 })
  const { errors } = answer.body as { errors: { pointer: string }[] }
  expect(errors.map(({ pointer }) => pointer).sort()).toEqual([
    "/a~1b",
    "/description",
    "/owner_id",
    "/title",
  ])
})

test("a title is required, and white space is none", async () => {
  expect((await ada.post("/todos", {})).status).toBe(400)
  for (const title of ["", " ", "\t\n", "\u0085", "\u00a0", "\u3000\u2028", "\ufeff"])
    expect((await ada.post("/todos", { title })).status).toBe(400)
})

test("text is stored as sent", async () => {
  const text = ` \u200b"\\/\b\u001f<script> Ω≈ 👩‍👩‍👧 e\u0301 \u2028 '; drop table todos; -- %_ `
  const { path } = await create({ title: text, description: text })
  expect((await ada.get(path)).body).toMatchObject({ title: text, description: text })
})

for (const [member, most] of [
  ["title", 254],
  ["description", 999],
] as const)
  test(`a ${member} has at most ${most} code points, emoji too`, async () => {
    for (const character of ["a", "é", "😀"]) {
      const send = (length: number) =>
        ada.post("/todos", { title: "x", [member]: character.repeat(length) })
      expect((await send(most)).status).toBe(201)
      expect((await send(most + 1)).status).toBe(400)
    }
  })

test("U+0000 and lone surrogates are refused, as escapes too", async () => {
  for (const member of ["title", "description"])
    for (const escaped of ["\\u0000", "\\ud800", "\\udc00x"]) {
      const answer = await ada.post("/todos", `{"title":"x","${member}":"a${escaped}"}`)
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ pointer: `/${member}` }] } })
    }
})

const noIds = [
  ...["0", "-1", "+1", "01", "1.0", "1e3", "0x1", " 1", "1 ", "1_0", "abc", "null", "٣", "１"],
  ...["9007199254740992", "9223372036854775807", "9223372036854775808", "99999999999999999999"],
]
for (const id of noIds)
  test(`${JSON.stringify(id)} names no todo`, async () => {
    const path = `/todos/${encodeURIComponent(id)}`
    for (const answer of [
      await ada.get(path),
      await ada.put(path, { title: "x" }),
      await ada.patch(path, { title: "x" }),
      await ada.delete(path),
    ])
      expect(answer).toMatchObject({ status: 404, body: { error_code: "TODO_NOT_FOUND" } })
  })

test("the largest id that JSON can hold is an id", async () => {
  const missing = await ada.get("/todos/9007199254740991")
  expect(missing.body).toMatchObject({ error_code: "TODO_NOT_FOUND" })
})

test("someone else's todo and no todo are the same 404, and nothing is changed", async () => {
  const { path, body } = await create()
  const missing = "/todos/9007199254740990"
  for (const call of [
    (at: string) => bob.get(at),
    (at: string) => bob.get(at, { "if-none-match": "*" }),
    (at: string) => bob.put(at, { title: "mine" }),
    (at: string) => bob.patch(at, { title: "mine" }),
    (at: string) => bob.put(at, { title: "mine" }, { "if-match": '"1"' }),
    (at: string) => bob.delete(at),
    (at: string) => bob.delete(at, { "if-match": "*" }),
  ]) {
    const [foreign, none] = [await call(path), await call(missing)]
    expect(foreign.status).toBe(404)
    expect(withoutTimestamp(foreign.text)).toBe(withoutTimestamp(none.text))
    const names = (headers: Headers) => [...headers.keys()].sort()
    expect(names(foreign.headers)).toEqual(names(none.headers))
  }
  expect((await ada.get(path)).body).toEqual(body)
})

test("an invalid body is told before a todo is looked for", async () => {
  const answer = await ada.put("/todos/9007199254740990", { title: 1 }, { "if-match": '"1"' })
  expect(answer.status).toBe(400)
})

test("routes of one todo take no query", async () => {
  const { path } = await create()
  expect(await ada.get(`${path}?limit=1`)).toMatchObject({
    status: 400,
    body: { errors: [{ parameter: "limit" }] },
  })
})

test("HEAD answers as GET does, without a body", async () => {
  const { path } = await create()
  const headers = { authorization: `Bearer ${ada.token}` }
  const get = await app.call("GET", `/api/v1${path}`, { headers })
  const head = await app.call("HEAD", `/api/v1${path}`, { headers })
  expect(head).toMatchObject({ status: 200, text: "" })
  for (const name of ["etag", "cache-control", "content-type"])
    expect(head.headers.get(name)).toBe(get.headers.get(name))
})

test("the tables themselves refuse what the service would", async () => {
  const sql = openSql(app.databaseUrl)
  const codeOf = (error: postgres.PostgresError) => error.code
  const insertTodo = (todo: object) =>
    sql`insert into todos ${sql({ owner_id: ada.id, title: "Milk", revision: 1, ...todo })}`.then(
      () => "",
      codeOf,
    )
  const insertKey = (key: string, hash: Uint8Array) =>
    sql`
      insert into idempotency_keys (owner_id, key, body_hash, todo_id)
      values (${ada.id}, ${key}, ${hash}, 1)`.then(() => "", codeOf)
  try {
    for (const title of ["", " \u3000\ufeff", "x".repeat(255)])
      expect(await insertTodo({ title })).toBe("23514")
    expect(await insertTodo({ description: "x".repeat(1000) })).toBe("23514")
    for (const id of [0, 2 ** 53]) expect(await insertTodo({ id })).toBe("23514")
    expect(await insertTodo({ title: "🥛".repeat(254), description: "🥛".repeat(999) })).toBe("")

    const hash = new Uint8Array(32)
    for (const key of ["", "a b", "é", "\u007f", "x".repeat(256)])
      expect(await insertKey(key, hash)).toBe("23514")
    expect(await insertKey("k", hash.subarray(1))).toBe("23514")
    expect(await insertKey(`!${"x".repeat(253)}~`, hash)).toBe("")
  } finally {
    await sql.end()
  }
})
