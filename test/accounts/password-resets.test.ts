/** Setting a new password by a single-use token. */
import { expect, test } from "bun:test"
import { createPasswordReset } from "../../src/accounts/password-reset.ts"
import { type App, startApp } from "../support/app.ts"
import { type OneTimeToken, userCommand } from "../support/commands.ts"
import { within5s } from "../support/sessions.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql, account } = await shareApp({ TRUSTED_PROXIES: "127.0.0.0/8" })

const reset = (token: unknown, new_password: unknown = "another horse", at: App = app) =>
  at.call("POST", "/api/v1/auth/password-reset", { body: { token, new_password } })

const logIn = (email: string, password: string, from = "198.18.0.1") =>
  app.call("POST", "/api/v1/auth/login", {
    headers: { "x-forwarded-for": from },
    body: { email, password },
  })

const tokenOf = async ({ id }: { id: number }) => {
  const made = await createPasswordReset(sql, id)
  if (!made) throw new Error("No reset was made")
  return made.token
}

test("a token of the command sets a new password once, and is stored as no more than a hash", async () => {
  const ada = await account()
  const made = await userCommand<OneTimeToken>(app.databaseUrl, "reset", ada.email)
  const life = Date.parse(made.expires_at) - Date.now()
  expect(life).toBeGreaterThan(59 * 60_000)
  expect(life).toBeLessThanOrEqual(60 * 60_000)
  const stored = await sql<{ hash: Uint8Array }[]>`
    select hash
    from password_resets
    where user_id = ${ada.id}`
  expect(stored[0]?.hash.length).toBe(32)

  const answer = await reset(made.token)
  expect(answer).toMatchObject({ status: 204, text: "" })
  expect(answer.headers.get("cache-control")).toBe("no-store")
  expect((await logIn(ada.email, "another horse")).status).toBe(200)
  expect((await logIn(ada.email, ada.password)).status).toBe(401)
  expect((await reset(made.token)).status).toBe(401)
})

test("a wrong, an expired and an older token are the same 401", async () => {
  const ada = await account()
  const bob = await account()
  const older = await tokenOf(ada)
  const expired = await tokenOf(bob)
  const newer = await tokenOf(ada)
  await sql`
    update password_resets
    set expires_at = now()
    where user_id = ${bob.id}`
  const texts = new Set<string>()
  for (const wrong of ["", "x", older, expired, `${newer} `]) {
    const { status, headers, body, text } = await reset(wrong)
    expect(status).toBe(401)
    expect(headers.get("www-authenticate")).toBe("Bearer")
    expect(body).toMatchObject({ error_code: "INVALID_CREDENTIALS" })
    texts.add(text.replace(/"timestamp":"[^"]+"/, ""))
  }
  expect(texts.size).toBe(1)
  expect((await reset(newer)).status).toBe(204)
})

test("a new password that breaks the rules is a 400, and uses up no token", async () => {
  const ada = await account()
  const token = await tokenOf(ada)
  for (const password of ["short", "x".repeat(257), 12345678, null, "Password1", ada.email]) {
    const answer = await reset(token, password)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ errors: [{ pointer: "/new_password" }] })
  }
  expect((await reset(token)).status).toBe(204)
})

test("a reset ends every session here and on other instances", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await account()
  const elsewhere = await other.session(ada)
  expect((await other.withToken(ada.token).get("/users/me")).status).toBe(200)
  expect((await reset(await tokenOf(ada))).status).toBe(204)
  expect((await ada.get("/users/me")).status).toBe(401)
  expect((await app.withToken(elsewhere.token).get("/users/me")).status).toBe(401)
  for (const token of [ada.refreshToken, elsewhere.refreshToken]) {
    const body = { refresh_token: token }
    expect((await app.call("POST", "/api/v1/auth/refresh", { body })).status).toBe(401)
  }
  const isRefused = async () => (await other.withToken(ada.token).get("/users/me")).status === 401
  expect(await within5s(isRefused)).toBe(true)
})

test("a reset ends the personal tokens of the user, and nobody else's", async () => {
  const users = [await account(), await account()] as const
  const tokens: string[] = []
  for (const { post } of users) {
    const made = await post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
    tokens.push((made.body as { token: string }).token)
  }
  const statuses = async () =>
    (await Promise.all(tokens.map((token) => app.withToken(token).get("/todos")))).map(
      ({ status }) => status,
    )
  expect(await statuses()).toEqual([200, 200])
  expect((await reset(await tokenOf(users[0]))).status).toBe(204)
  expect(await statuses()).toEqual([401, 200])
})

test("a reset resets the failed logins of the account from every address, on every instance", async () => {
  const settings = { DATABASE_URL: app.databaseUrl, TRUSTED_PROXIES: "127.0.0.0/8" }
  await using other = await startApp(settings)
  const ada = await account()
  const addresses = ["198.18.1.1", "198.18.1.2"]
  const attempt = (password: string, from: string, at: App) =>
    at.call("POST", "/api/v1/auth/login", {
      headers: { "x-forwarded-for": from },
      body: { email: ada.email, password },
    })
  for (const from of addresses) {
    await Promise.all(Array.from({ length: 10 }, () => attempt("wrong", from, app)))
    for (const at of [app, other]) expect((await attempt(ada.password, from, at)).status).toBe(429)
  }
  expect((await reset(await tokenOf(ada))).status).toBe(204)
  for (const from of addresses)
    for (const at of [app, other])
      expect((await attempt("another horse", from, at)).status).toBe(200)
})

test("of two resets at once, with one token or with two, one succeeds", async () => {
  const ada = await account()
  const token = await tokenOf(ada)
  const passwords = ["the first horse", "the second horse"]
  const answers = await Promise.all(passwords.map((password) => reset(token, password)))
  expect(answers.map(({ status }) => status).sort()).toEqual([204, 401])
  const logins = await Promise.all(passwords.map((password) => logIn(ada.email, password)))
  expect(logins.map(({ status }) => status)).toEqual(
    answers.map(({ status }) => (status === 204 ? 200 : 401)),
  )
  const both = await Promise.all([await tokenOf(ada), await tokenOf(ada)].map((t) => reset(t)))
  expect(both.map(({ status }) => status)).toEqual([401, 204])
})

test("a login that a reset overtakes opens no session that lasts", async () => {
  for (let round = 0; round < 5; round++) {
    const ada = await account()
    const token = await tokenOf(ada)
    const [answer, ...logins] = await Promise.all([
      reset(token),
      ...Array.from({ length: 4 }, () => app.logIn(ada)),
    ])
    expect(answer.status).toBe(204)
    for (const login of logins) expect((await login.get("/users/me")).status).toBe(401)
  }
})

test("a federated user and one who is gone cannot be reset, nor one who is disabled meanwhile", async () => {
  const outside = await app.user()
  expect(await createPasswordReset(sql, outside.id)).toBeUndefined()
  expect(await createPasswordReset(sql, 2 ** 41 + 5)).toBeUndefined()
  const ada = await account()
  const token = await tokenOf(ada)
  await sql`update users set disabled_at = now() where id = ${ada.id}`
  expect((await reset(token)).status).toBe(401)
  await sql`update users set disabled_at = null where id = ${ada.id}`
  expect((await reset(token)).status).toBe(204)
})

test("where no mails are sent nobody can ask for one, and is told so", async () => {
  const request = (body: unknown) =>
    app.call("POST", "/api/v1/auth/password-reset/request", { body })
  expect(await request({ email: "ada@example.org" })).toMatchObject({
    status: 404,
    body: { error_code: "NOT_FOUND" },
  })
  expect((await request({ email: 1 })).status).toBe(400)
})
