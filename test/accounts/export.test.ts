/** The export: all that is stored about a user, as one document. */
import { expect, test } from "bun:test"
import { LAST_CHUNK, openPaused } from "../support/paused.ts"
import { insertMany } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

const { app, sql, account } = await shareApp()

type Export = Record<string, object[]>

const fill = (ownerId: number, count: number, description = "") =>
  insertMany(sql, ownerId, count, { description: `nullif('${description}', '')` })

test("an export is all that is stored about the user, and nothing that lets anybody in", async () => {
  const ada = await account()
  const bob = await account()
  await bob.post("/todos", { title: "bob's" })
  const { id } = (await ada.post("/todos", { title: "gone" })).body as { id: number }
  await ada.delete(`/todos/${id}`)
  const { body: todo } = await ada.post("/todos", { title: "milk" }, { "idempotency-key": "k1" })
  const made = await ada.post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
  const { token, ...listed } = made.body as { token: string }
  const { status, headers, body, text } = await ada.get("/users/me/export")
  expect(status).toBe(200)
  expect(headers.get("content-type")).toBe("application/json")
  expect(headers.get("content-disposition")).toStartWith("attachment; filename=")
  expect(headers.get("cache-control")).toBe("no-store")
  expect(body).toEqual({
    exported_at: expect.stringMatching(/Z$/),
    user: (await ada.get("/users/me")).body,
    identities: [],
    sessions: [expect.objectContaining({ address: "127.0.0.1" })],
    known_addresses: [expect.objectContaining({ address_hash: expect.stringMatching(/^\w{64}$/) })],
    personal_tokens: [listed],
    todos: [todo],
    deleted_todos: [expect.objectContaining({ id })],
    idempotency_keys: [expect.objectContaining({ key: "k1" })],
  })
  for (const secret of [token, ada.token, ada.refreshToken, "argon2", "bob's"])
    expect(text).not.toContain(secret)
})

test("every todo is in an export once, however many there are", async () => {
  const ada = await app.user()
  for (const count of [100, 901]) {
    await fill(ada.id, count)
    const { todos = [] } = (await ada.get("/users/me/export")).body as Export
    const listed = (await ada.get("/todos")).body as object[]
    expect(todos).toHaveLength(listed.length)
    expect(new Set(todos.map((todo) => JSON.stringify(todo)))).toEqual(
      new Set(listed.map((todo) => JSON.stringify(todo))),
    )
  }
})

test("every row of every other list is in an export once, too", async () => {
  const ada = await app.user()
  const hash = "sha256(n::text::bytea)"
  for (const [table, columns, values] of [
    ["sessions", "user_id, id, expires_at", "gen_random_uuid(), now() + interval '1 day'"],
    ["known_addresses", "user_id, address_hash, expires_at", `${hash}, now()`],
    ["deleted_todos", "owner_id, id, revision", "1000 + n, n % 3 + 1"],
    ["idempotency_keys", "owner_id, key, body_hash, todo_id", `n::text, ${hash}, n`],
  ] as const)
    await sql.unsafe(
      `insert into ${table} (${columns})
       select ${ada.id}, ${values} from generate_series(1, 1200) as n`,
    )
  const lists = (await ada.get("/users/me/export")).body as Export
  for (const name of ["sessions", "known_addresses", "deleted_todos", "idempotency_keys"]) {
    expect(lists[name]).toHaveLength(1200)
    expect(new Set(lists[name]?.map((row) => JSON.stringify(row))).size).toBe(1200)
  }
})

test("a federated user is exported with who they are to their issuer", async () => {
  const ada = app.withToken(tokenFor(4711))
  await ada.get("/users/me")
  await sql`
    insert into identities (issuer, subject, user_id)
    values ('https://issuer.example', 'ada', 4711)`
  expect((await ada.get("/users/me/export")).body).toMatchObject({
    user: { id: 4711, email: null },
    identities: [{ issuer: "https://issuer.example", subject: "ada" }],
    todos: [],
  })
  const { status, body } = await app.withToken(tokenFor(4712)).get("/users/me/export")
  expect(status).toBe(200)
  expect(body).toMatchObject({ user: { id: 4712 } })
})

test("an export that fails half-way resets the connection, and does not look complete", async () => {
  const ada = await app.user()
  // More than the sockets in between hold.
  await fill(ada.id, 4_000, "😀".repeat(999))
  const { rest } = await openPaused(app.url, "/users/me/export", ada.token, sql)
  await sql`alter table todos rename to hidden`
  const text = await rest()
  await sql`alter table hidden rename to todos`
  expect(text).toStartWith("HTTP/1.1 200")
  expect(text).not.toContain(LAST_CHUNK)
})

test("a stranger gets no export", async () => {
  expect((await app.call("GET", "/api/v1/users/me/export")).status).toBe(401)
  expect((await app.call("POST", "/api/v1/users/me/export")).status).toBe(405)
})
