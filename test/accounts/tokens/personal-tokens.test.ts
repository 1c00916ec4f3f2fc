/** Personal access tokens, for scripts. */
import { expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { type App, startApp } from "../../support/app.ts"
import type { User } from "../../support/client.ts"
import { readOperations } from "../../support/document.ts"
import { startProcess } from "../../support/process.ts"
import { isUseSince, within5s } from "../../support/sessions.ts"
import { shareApp } from "../../support/shared-app.ts"
import { openSql } from "../../support/sql.ts"

const { app, sql, account } = await shareApp()

const BOTH = ["todos:read", "todos:write"]
type Created = { id: string; token: string }

const create = async (user: Pick<User, "post">, wanted: object = {}) => {
  const answer = await user.post("/users/me/tokens", { name: "script", scopes: BOTH, ...wanted })
  return { ...answer, ...(answer.body as Created) }
}

const statusOf = async (token: string, at: App = app) =>
  (await at.withToken(token).get("/todos")).status

test("a token is told once, and listed without it, with the time of its last use", async () => {
  const ada = await app.user()
  const expires_at = "2099-12-31T23:59:59.000Z"
  const made = await create(ada, { name: "backup", scopes: ["todos:read"], expires_at })
  expect(made.status).toBe(201)
  expect(made.headers.get("cache-control")).toBe("no-store")
  expect(made.token).toMatch(/^todo_[\w-]{43}$/)
  const listed = {
    id: made.id,
    name: "backup",
    scopes: ["todos:read"],
    created_at: expect.stringMatching(/Z$/),
    expires_at,
    last_used_at: null,
  }
  expect(made.body).toEqual({ ...listed, token: made.token })
  const list = await ada.get("/users/me/tokens")
  expect(list.body).toEqual([listed])
  expect(list.headers.get("cache-control")).toBe("no-store")
  const before = Date.now()
  expect(await statusOf(made.token)).toBe(200)
  const [used] = (await ada.get("/users/me/tokens")).body as { last_used_at: string }[]
  expect(isUseSince(before, used?.last_used_at)).toBe(true)
})

test("tokens are stored as SHA-256 only", async () => {
  const { id, token } = await create(await app.user())
  const [stored] = await sql<[{ hash: Buffer; row: string }]>`
    select hash, personal_tokens::text as row
    from personal_tokens
    where id = ${id}`
  expect(stored.hash.toString("hex")).toBe(createHash("sha256").update(token).digest("hex"))
  expect(stored.row).not.toContain(token.slice(5))
})

test("what each scope lets a token do with todos, and that it may do nothing else", async () => {
  const ada = await account()
  const operations = await readOperations()
  const secured = operations.filter(({ security }) => security.length > 0)
  expect(secured.length).toBeGreaterThan(10)
  for (const scope of BOTH) {
    const { token } = await create(ada, { scopes: [scope] })
    for (const { method, path } of secured) {
      const response = await fetch(app.url + path.replace("{id}", "1"), {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(method !== "GET" && { body: "{}" }),
      })
      const { status, headers } = response
      const isOfTodos = path.startsWith("/api/v1/todos")
      const needed = method === "GET" ? "todos:read" : "todos:write"
      const isAllowed = isOfTodos && (scope === "todos:write" || scope === needed)
      expect([method, path, status !== 403]).toEqual([method, path, isAllowed])
      if (status !== 403) {
        // A stream has no end.
        await response.body?.cancel()
        continue
      }
      expect(await response.json()).toMatchObject({ error_code: "INSUFFICIENT_SCOPE" })
      expect(headers.get("www-authenticate")).toBe(
        `Bearer error="insufficient_scope"${isOfTodos ? `, scope="${needed}"` : ""}`,
      )
    }
  }
})

test("HEAD is reading, and writing includes it", async () => {
  const ada = await app.user()
  const head = async (scope: string) => {
    const { token } = await create(ada, { scopes: [scope] })
    const headers = { authorization: `Bearer ${token}` }
    return (await app.call("HEAD", "/api/v1/todos", { headers })).status
  }
  expect([await head("todos:read"), await head("todos:write")]).toEqual([200, 200])
  const writer = app.withToken((await create(ada, { scopes: ["todos:write"] })).token)
  const { status, body } = await writer.post("/todos", { title: "milk" })
  expect(status).toBe(201)
  expect(await writer.get("/todos")).toMatchObject({ status: 200, body: [body] })
  expect((await writer.get("/todos/changes")).status).toBe(200)
})

test("a token that is unknown or mutilated is a 401, and not worth a second look", async () => {
  const { token } = await create(await app.user())
  const swapped = token.slice(0, -1) + (token.endsWith("A") ? "B" : "A")
  for (const wrong of [swapped, `${token}x`, token.slice(0, -1), "todo_", token.toUpperCase()])
    for (let time = 0; time < 2; time++) {
      const answer = await app.withToken(wrong).get("/todos")
      expect(answer.status).toBe(401)
      expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"')
    }
})

/** One that was good, and expires soon: a slow machine needs longer to see that it is good. */
const createBrief = async (user: User): Promise<string> => {
  for (let life = 250; ; life *= 2) {
    const { token } = await create(user, { expires_at: new Date(Date.now() + life).toJSON() })
    if ((await statusOf(token)) === 200) return token
  }
}

test("an expired token is a 401 that says so, is not listed, and in the end is deleted", async () => {
  const ada = await app.user()
  const { id, token } = await create(ada, { expires_at: new Date(Date.now() + 60_000).toJSON() })
  const used = await createBrief(ada)
  await sql`
    update personal_tokens
    set expires_at = now() - interval '1 second'
    where id = ${id}`
  while ((await statusOf(used)) === 200) await Bun.sleep(20)
  for (const expired of [token, used]) {
    const answer = await app.withToken(expired).get("/todos")
    expect(answer.status).toBe(401)
    expect(answer.headers.get("www-authenticate")).toContain("expired")
  }
  expect((await ada.get("/users/me/tokens")).body).toEqual([])
})

test("a token that is revoked is refused at once here, and within 5 s by another instance", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  const kept = await create(ada)
  const { id, token } = await create(ada)
  for (const at of [app, other]) expect(await statusOf(token, at)).toBe(200)
  expect((await ada.delete(`/users/me/tokens/${id}`)).status).toBe(204)
  expect(await statusOf(token)).toBe(401)
  expect(await within5s(async () => (await statusOf(token, other)) === 401)).toBe(true)
  for (const at of [app, other]) expect(await statusOf(kept.token, at)).toBe(200)
  expect((await ada.delete(`/users/me/tokens/${id}`)).status).toBe(404)
})

test("a token that is revoked while it is verified for the first time is refused from then on", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  for (const at of [app, other]) {
    const { id, token } = await create(ada)
    const verified = await sql.begin(async (transaction) => {
      // What reads waits for it, too, so that the verification ends when the deletion is under way.
      await transaction`lock table personal_tokens in access exclusive mode`
      const verifying = statusOf(token, at)
      const deleted = ada.delete(`/users/me/tokens/${id}`)
      await Bun.sleep(100)
      return { verifying, deleted }
    })
    expect([200, 401]).toContain(await verified.verifying)
    expect((await verified.deleted).status).toBe(204)
    expect(await within5s(async () => (await statusOf(token, at)) === 401)).toBe(true)
    await Bun.sleep(50)
    expect(await statusOf(token, at)).toBe(401)
  }
})

test("revoking by many at once: one is told that it did", async () => {
  const ada = await app.user()
  const { id } = await create(ada)
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => ada.delete(`/users/me/tokens/${id}`)),
  )
  expect(answers.filter(({ status }) => status === 204)).toHaveLength(1)
  expect(answers.filter(({ status }) => status === 404)).toHaveLength(9)
})

test("a user has at most 50 tokens, however many are made at once", async () => {
  const ada = await app.user()
  for (let i = 0; i < 45; i++) expect((await create(ada)).status).toBe(201)
  const made = await Promise.all(Array.from({ length: 10 }, () => create(ada)))
  expect(made.filter(({ status }) => status === 201)).toHaveLength(5)
  const refused = made.find(({ status }) => status === 403)
  expect(refused?.body).toMatchObject({ error_code: "QUOTA_EXCEEDED" })
  const { id } = made.find(({ status }) => status === 201) ?? { id: "" }
  await ada.delete(`/users/me/tokens/${id}`)
  expect((await create(ada)).status).toBe(201)
})

test("a token of somebody else is none, to list or to revoke", async () => {
  const [ada, bob] = await Promise.all([app.user(), app.user()])
  const { id, token } = await create(ada)
  for (const wrong of [id, id.toUpperCase(), "1", "x", crypto.randomUUID()]) {
    const { status, body } = await bob.delete(`/users/me/tokens/${wrong}`)
    expect(status).toBe(404)
    expect(body).toMatchObject({ error_code: "NOT_FOUND" })
  }
  expect((await bob.get("/users/me/tokens")).body).toEqual([])
  expect(await statusOf(token)).toBe(200)
})

test("deleting the user ends their tokens", async () => {
  const ada = await account()
  const { id, token } = await create(ada)
  expect(await statusOf(token)).toBe(200)
  await ada.delete("/users/me")
  expect(await statusOf(token)).toBe(401)
  expect(await sql`select id from personal_tokens where id = ${id}`).toHaveLength(0)
})

test("making and revoking a token are security events, which tell nothing of the token", async () => {
  await using service = await startProcess()
  const ada = await service.user()
  const { id, token } = await create(ada)
  await ada.delete(`/users/me/tokens/${id}`)
  await service.stop()
  const log = await service.log()
  for (const event of ["personal_token_made", "personal_token_revoked"])
    expect(log).toContain(`"event":"${event}","user_id":${ada.id},"address":"127.0.0.1"`)
  for (const secret of [token, token.slice(5), id]) expect(log).not.toContain(secret)
})

test("tokens that are made while their user is deleted are refused, or die with the user", async () => {
  const ada = await account()
  const making = Array.from({ length: 10 }, () => create(ada))
  const deleting = ada.delete("/users/me")
  const made = await Promise.all(making)
  expect((await deleting).status).toBe(204)
  for (const { status, token } of made) {
    expect([201, 401]).toContain(status)
    if (status === 201) expect(await statusOf(token)).toBe(401)
  }
})

test("a wrong name, scope or time is refused by its pointer", async () => {
  const ada = await app.user()
  const wrong: [pointer: string, body: object][] = [
    ["/name", { name: "" }],
    ["/name", { name: " " }],
    ["/name", { name: "x".repeat(101) }],
    ["/scopes", { scopes: [] }],
    ["/scopes", { scopes: ["todos:read", "todos:read"] }],
    ["/scopes/0", { scopes: ["todos:admin"] }],
    ["/expires_at", { expires_at: "2001-01-01T00:00:00Z" }],
    ["/expires_at", { expires_at: "2099-02-30T00:00:00Z" }],
    ["/expires_at", { expires_at: "2099-01-01T24:30:00Z" }],
    ["/expires_at", { expires_at: "2099-01-01" }],
    ["/expires_at", { expires_at: "9999-12-31T23:59:59-01:00" }],
    ["/expires_at", { expires_at: 4_070_908_800 }],
    ["/token", { token: `todo_${"x".repeat(43)}` }],
  ]
  for (const [pointer, body] of wrong) {
    const answer = await create(ada, body)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ errors: [{ pointer }] })
  }
  expect((await ada.get("/users/me/tokens")).body).toEqual([])
})

test("a token that was never used works on a read-only database, by an instance that never saw it", async () => {
  await using later = await startApp()
  const ada = await later.user()
  const { token } = await create(ada)
  const database = openSql(later.databaseUrl)
  await using other = await startApp({ DATABASE_URL: later.databaseUrl })
  await database.unsafe(
    `alter database "${new URL(later.databaseUrl).pathname.slice(1)}" set default_transaction_read_only = on`,
  )
  await database`
    select pg_terminate_backend(pid, 60000)
    from pg_stat_activity
    where datname = current_database()
      and pid <> pg_backend_pid()`
  // Until each has heard that its connections are gone.
  for (const at of [later, other])
    expect(await within5s(async () => (await statusOf(ada.token, at)) === 200)).toBe(true)
  for (const at of [later, other]) expect(await statusOf(token, at)).toBe(200)
  const refused = await other.withToken(token).post("/todos", { title: "milk" })
  expect(refused.status).not.toBe(401)
  await database.end()
})
