/** Who may register: everybody, nobody, or whoever was invited. */
import { expect, test } from "bun:test"
import { newToken } from "../../src/accounts/random-token.ts"
import { createInvite, registration } from "../../src/accounts/registration.ts"
import { connect } from "../../src/database/connect.ts"
import { createClientOf } from "../../src/http/client-address.ts"
import { registerText } from "../../src/http/schema.ts"
import { type App, startApp } from "../support/app.ts"

const register = (app: App, body: object) =>
  app.call("POST", "/api/v1/auth/register", { body: { password: "correct horse", ...body } })

const closed = { status: 403, body: { error_code: "REGISTRATION_CLOSED" } }
const taken = { status: 409, body: { error_code: "EMAIL_TAKEN" } }

const inviting = async () => {
  const app = await startApp({ REGISTRATION: "invite" })
  const sql = connect(app.databaseUrl, 1)
  return {
    app,
    sql,
    invite: async (email: string | null = null) => (await createInvite(sql, email)).token,
    async [Symbol.asyncDispose]() {
      await sql.end()
      await app[Symbol.asyncDispose]()
    },
  }
}

test("where registration is closed nobody registers", async () => {
  await using app = await startApp({ REGISTRATION: "closed" })
  expect(await register(app, { email: "ada@example.org" })).toMatchObject(closed)
  expect(await register(app, { email: "ada@example.org", invite: "x" })).toMatchObject(closed)
  expect((await register(app, { email: "" })).status).toBe(400)
})

test("where registration is open an invite is not looked at", async () => {
  await using app = await startApp()
  expect((await register(app, { email: "ada@example.org", invite: "x" })).status).toBe(201)
  expect((await register(app, { email: "bob@example.org", invite: 1 })).status).toBe(400)
})

test("an invite is good once, and what is none is not", async () => {
  await using service = await inviting()
  const { app, sql, invite } = service
  const token = await invite()
  const [stored] = await sql<{ hash: Uint8Array }[]>`
    select hash
    from invites`
  expect(Buffer.from(stored?.hash ?? []).toString("base64url")).not.toBe(token)
  for (const wrong of [undefined, "", "x", `${token}x`, token.toUpperCase()])
    expect(await register(app, { email: "ada@example.org", invite: wrong })).toMatchObject(closed)
  const answer = await register(app, { email: "ada@example.org", invite: token })
  expect(answer).toMatchObject({ status: 201, body: { email: "ada@example.org" } })
  expect(await register(app, { email: "bob@example.org", invite: token })).toMatchObject(closed)
})

test("no password is hashed for an invite that is none", async () => {
  await using service = await inviting()
  let hashed = 0
  const hashing = {
    acquire: async () => {
      hashed++
      throw new Error("a slot was asked for")
    },
  }
  registerText()
  const route = registration({
    ...{ sql: service.sql, hashing, registrationMode: "invite", clientOf: createClientOf([]) },
    limits: { countRegistration: async () => {} },
  } as never)
  const ask = (invite: string) =>
    route.handle(
      new Request("http://localhost/auth/register", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "ada@example.org", password: "correct horse", invite }),
      }),
    )
  const token = await service.invite()
  await ask(newToken().token)
  expect(hashed).toBe(0)
  await ask(token)
  expect(hashed).toBe(1)
})

test("an invite is good for seven days", async () => {
  await using service = await inviting()
  const { app, sql, invite } = service
  const token = await invite()
  const [{ seconds }] = await sql<[{ seconds: number }]>`
    select extract(epoch from expires_at - now())::integer as seconds
    from invites`
  expect(seconds).toBeGreaterThan(7 * 86_400 - 60)
  expect(seconds).toBeLessThanOrEqual(7 * 86_400)
  await sql`update invites set expires_at = now()`
  expect(await register(app, { email: "ada@example.org", invite: token })).toMatchObject(closed)
})

test("an invite that was made for an email is good for that one, however it is written", async () => {
  await using service = await inviting()
  const token = await service.invite("Ünal@Example.org")
  const answer = await register(service.app, { email: "eve@example.org", invite: token })
  expect(answer).toMatchObject(closed)
  const right = await register(service.app, { email: " ünal@example.org ", invite: token })
  expect(right.status).toBe(201)
})

test("an email that is taken uses up no invite", async () => {
  await using service = await inviting()
  const { app, invite } = service
  await register(app, { email: "ada@example.org", invite: await invite() })
  const token = await invite()
  expect(await register(app, { email: "Ada@example.org", invite: token })).toMatchObject(taken)
  expect((await register(app, { email: "bob@example.org", invite: token })).status).toBe(201)
})

test("an invite that is used many times at once makes one account, on two instances too", async () => {
  await using service = await inviting()
  const { app, invite } = service
  await using other = await startApp({ DATABASE_URL: app.databaseUrl, REGISTRATION: "invite" })
  const token = await invite()
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      register(i % 2 ? app : other, { email: `ada-${i}@example.org`, invite: token }),
    ),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(403)])
})
