import { afterAll, beforeAll, expect, test } from "bun:test"
import { createHash, randomUUID } from "node:crypto"
import { connect, type Sql } from "../src/database/connection.ts"
import { insertAccount } from "./support/accounts.ts"
import { type App, startApp } from "./support/app.ts"
import { claimsOf, tokenFor } from "./support/tokens.ts"
import { within5s } from "./support/waiting.ts"

let app: App
let sql: Sql
beforeAll(async () => {
  app = await startApp()
  sql = connect(app.databaseUrl, 2)
})
afterAll(async () => {
  await sql.end()
  await app[Symbol.asyncDispose]()
})

type Pair = { access_token: string; refresh_token: string }

const refresh = async (refresh_token: string, at: App = app) => {
  const answer = await at.call("POST", "/api/v1/auth/refresh", { body: { refresh_token } })
  return { ...answer, pair: answer.body as Pair }
}

const account = () => insertAccount(app, sql)

const works = async (token: string, at: App = app) =>
  (await at.withToken(token).get("/todos")).status === 200

/** As if the token had been used so long ago. */
const age = (token: string, seconds: number) => sql`
  update refresh_tokens
  set rotated_at = rotated_at - make_interval(secs => ${seconds})
  where hash = ${createHash("sha256").update(token).digest()}`

/** Milliseconds for a test that may wait for 5 s, twice. */
const SLOW = 20_000

test("a refresh gives two new tokens that work", async () => {
  const ada = await account()
  const { status, pair, headers, body } = await refresh(ada.refreshToken)
  expect(status).toBe(200)
  expect(body).toEqual({
    access_token: expect.any(String),
    token_type: "bearer",
    expires_in: 1_800,
    refresh_token: expect.any(String),
  })
  expect(headers.get("cache-control")).toBe("no-store")
  expect(pair.access_token).not.toBe(ada.token)
  expect(pair.refresh_token).not.toBe(ada.refreshToken)
  expect(await works(pair.access_token)).toBe(true)
  expect((await refresh(pair.refresh_token)).status).toBe(200)
})

test("a refresh whose answer got lost may be repeated within 10 s, for a fresh pair", async () => {
  const ada = await account()
  const lost = await refresh(ada.refreshToken)
  await age(ada.refreshToken, 8)
  const { status, pair } = await refresh(ada.refreshToken)
  expect(status).toBe(200)
  expect(pair.refresh_token).not.toBe(lost.pair.refresh_token)
  expect((await refresh(pair.refresh_token)).status).toBe(200)
})

test("a refresh token that is used again later ends the whole session", async () => {
  const ada = await account()
  const second = await refresh(ada.refreshToken)
  const third = await refresh(second.pair.refresh_token)
  const another = await app.logIn(ada)
  await age(ada.refreshToken, 11)
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  for (const token of [ada.token, second.pair.access_token, third.pair.access_token])
    expect(await works(token)).toBe(false)
  expect((await refresh(third.pair.refresh_token)).status).toBe(401)
  expect(await works(another.token)).toBe(true)
})

test("twenty concurrent refreshes of one token get twenty pairs that work", async () => {
  const ada = await account()
  const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(ada.refreshToken)))
  expect(new Set(answers.map(({ pair }) => pair.refresh_token)).size).toBe(20)
  for (const { pair } of answers) expect(await works(pair.access_token)).toBe(true)
  const next = await Promise.all(answers.map(({ pair }) => refresh(pair.refresh_token)))
  expect(next.map(({ status }) => status)).toEqual(answers.map(() => 200))
})

test("refreshes that meet the end of their session fail or get tokens that are dead", async () => {
  const ada = await account()
  const refreshes = Array.from({ length: 10 }, () => refresh(ada.refreshToken))
  const logout = ada.post("/auth/logout")
  const answers = await Promise.all(refreshes)
  expect((await logout).status).toBe(204)
  for (const { status, pair } of answers) {
    expect([200, 401]).toContain(status)
    if (status === 200) expect(await works(pair.access_token)).toBe(false)
    if (status === 200) expect((await refresh(pair.refresh_token)).status).toBe(401)
  }
})

test("a refresh token that is wrong, expired or of another kind is refused", async () => {
  const ada = await account()
  await sql`
    update refresh_tokens
    set expires_at = now()
    where hash = ${createHash("sha256").update(ada.refreshToken).digest()}`
  for (const token of ["", "x", ada.token, randomUUID(), ada.refreshToken]) {
    const answer = await refresh(token)
    expect(answer.status).toBe(401)
    expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED" })
    expect(answer.headers.get("www-authenticate")).toBe("Bearer")
  }
  expect(await works(ada.token)).toBe(true)
})

test("refresh tokens are stored as SHA-256 only", async () => {
  const ada = await account()
  const stored = await sql<{ hash: Buffer; row: string }[]>`
    select hash, refresh_tokens::text as row
    from refresh_tokens
    where session_id in (select id from sessions where user_id = ${ada.id})`
  expect(stored.map(({ hash }) => hash.toString("hex"))).toEqual([
    createHash("sha256").update(ada.refreshToken).digest("hex"),
  ])
  expect(stored[0]?.row).not.toContain(ada.refreshToken)
})

test("a logout ends its session and no other", async () => {
  const ada = await account()
  const { pair } = await refresh(ada.refreshToken)
  const another = await app.logIn(ada)
  const logout = await ada.post("/auth/logout")
  expect(logout.status).toBe(204)
  expect(logout.headers.get("cache-control")).toBe("no-store")
  for (const token of [ada.token, pair.access_token]) {
    const answer = await app.withToken(token).get("/users/me")
    expect(answer.status).toBe(401)
    expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"')
  }
  expect((await refresh(pair.refresh_token)).status).toBe(401)
  expect(await works(another.token)).toBe(true)
  expect((await refresh(another.refreshToken)).status).toBe(200)
})

test("a token without a session of ours is itself refused after a logout, however it is spelled", async () => {
  const token = tokenFor(51, { jti: randomUUID() })
  const sibling = tokenFor(51, { jti: randomUUID() })
  expect(await works(token)).toBe(true)
  expect((await app.withToken(token).post("/auth/logout")).status).toBe(204)
  // The last character of 43 carries four bits of the signature, and two that mean nothing.
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  const last = alphabet.indexOf(token.slice(-1))
  for (let spare = 0; spare < 4; spare++)
    expect(await works(token.slice(0, -1) + alphabet[(last & ~3) + spare])).toBe(false)
  expect(await works(sibling)).toBe(true)
})

test("a logout by a token that claims the session of somebody else does not end it", async () => {
  const ada = await account()
  const forged = tokenFor(52, { jti: claimsOf(ada.token)["jti"] })
  expect((await app.withToken(forged).post("/auth/logout")).status).toBe(204)
  expect(await works(forged)).toBe(false)
  expect(await works(ada.token)).toBe(true)
})

test("a token that expires in the year 300,000 can log out", async () => {
  const ada = app.withToken(tokenFor(53, { exp: 1e300 }))
  expect((await ada.post("/auth/logout")).status).toBe(204)
  expect((await ada.get("/todos")).status).toBe(401)
})

test("a password change ends every other session, and the old password", async () => {
  const ada = await account()
  const others = [await app.logIn(ada), await app.logIn(ada)]
  const change = { current_password: ada.password, new_password: "a better horse" }
  expect((await ada.put("/users/me/password", change)).status).toBe(204)
  for (const other of others) {
    expect(await works(other.token)).toBe(false)
    expect((await refresh(other.refreshToken)).status).toBe(401)
  }
  expect(await works(ada.token)).toBe(true)
  expect((await refresh(ada.refreshToken)).status).toBe(200)
  expect((await app.logIn(ada)).status).toBe(401)
  expect((await app.logIn({ ...ada, password: change.new_password })).status).toBe(200)
})

test("a password change by a token of no session ends all sessions", async () => {
  const ada = await account()
  const change = { current_password: ada.password, new_password: "a better horse" }
  const outside = app.withToken(tokenFor(ada.id))
  expect((await outside.put("/users/me/password", change)).status).toBe(204)
  expect(await works(ada.token)).toBe(false)
  expect(await works(outside.token)).toBe(true)
})

test("a wrong current password changes nothing", async () => {
  const ada = await account()
  for (const user of [ada, app.withToken(tokenFor(54))]) {
    const answer = await user.put("/users/me/password", {
      current_password: "wrong",
      new_password: "a better horse",
    })
    expect(answer.status).toBe(403)
    expect(answer.body).toMatchObject({ error_code: "INVALID_CREDENTIALS", title: "Forbidden" })
  }
  expect((await app.logIn(ada)).status).toBe(200)
})

test("a new password must follow the rules of a registration", async () => {
  const ada = await account()
  for (const new_password of ["short", "x".repeat(257), "nul \0 nul nul", 12345678, null]) {
    const answer = await ada.put("/users/me/password", {
      current_password: ada.password,
      new_password,
    })
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ errors: [{ pointer: "/new_password" }] })
  }
})

test("no login by the old password survives a password change that it races with", async () => {
  const ada = await app.account()
  const logins = Array.from({ length: 4 }, () => app.logIn(ada))
  const change = { current_password: ada.password, new_password: "a better horse" }
  const changed = ada.put("/users/me/password", change)
  const late = Array.from({ length: 2 }, () => app.logIn(ada))
  expect((await changed).status).toBe(204)
  for (const login of await Promise.all([...logins, ...late])) {
    expect([200, 401]).toContain(login.status)
    expect(await works(login.token)).toBe(false)
  }
})

test("a login that a password change overtakes opens no session", async () => {
  const ada = await account()
  const bob = await app.account("bob@example.org", "another horse")
  const login = await sql.begin(async (transaction) => {
    await transaction`
      update users
      set password_hash = (select password_hash from users where id = ${bob.id})
      where id = ${ada.id}`
    const overtaken = app.logIn(ada)
    await Bun.sleep(200)
    return { overtaken }
  })
  expect((await login.overtaken).status).toBe(401)
  expect((await app.logIn({ ...ada, password: bob.password })).status).toBe(200)
})

test("of two concurrent password changes one succeeds", async () => {
  const ada = await app.account()
  const change = (new_password: string) =>
    ada.put("/users/me/password", { current_password: ada.password, new_password })
  const answers = await Promise.all([change("a first horse"), change("a second horse")])
  expect(answers.map(({ status }) => status).sort()).toEqual([204, 403])
})

test("a deleted user is gone with all that was theirs, and the email is free", async () => {
  const ada = await account()
  const selfSigned = app.withToken(tokenFor(ada.id))
  await ada.post("/todos", { title: "milk" })
  expect(await works(selfSigned.token)).toBe(true)
  expect((await ada.delete("/users/me")).status).toBe(204)
  for (const user of [ada, selfSigned, app.withToken(tokenFor(ada.id, { jti: "new" }))]) {
    expect((await user.get("/users/me")).status).toBe(401)
    expect((await user.post("/todos", { title: "milk" })).status).toBe(401)
  }
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  expect((await app.logIn(ada)).status).toBe(401)
  const [left] = await sql<[{ rows: number }]>`
    select
      (select count(*) from users where id = ${ada.id})
      + (select count(*) from todos where owner_id = ${ada.id})
      + (select count(*) from sessions where user_id = ${ada.id}) as rows`
  expect(left.rows).toBe(0)
  const successor = await app.account(ada.email)
  expect(successor.id).not.toBe(ada.id)
  expect((await successor.get("/todos")).body).toEqual([])
})

test("a user who is deleted before their first write stays dead", async () => {
  const ada = app.withToken(tokenFor(55))
  expect((await ada.delete("/users/me")).status).toBe(204)
  expect((await app.withToken(tokenFor(55, { jti: "new" })).get("/users/me")).status).toBe(401)
})

test(
  "what is revoked on one instance is refused within 5 s on another that knows the token",
  async () => {
    await using other = await startApp({ DATABASE_URL: app.databaseUrl })
    const [loggedOut, changed, deleted, reused] = [
      await account(),
      await account(),
      await account(),
      await account(),
    ]
    const outside = app.withToken(tokenFor(56))
    const second = await app.logIn(changed)
    await refresh(reused.refreshToken)
    await age(reused.refreshToken, 11)
    const tokens = [loggedOut, second, deleted, reused, outside].map(({ token }) => token)
    for (const token of tokens) expect(await works(token, other)).toBe(true)

    await loggedOut.post("/auth/logout")
    await outside.post("/auth/logout")
    await changed.put("/users/me/password", {
      current_password: changed.password,
      new_password: "a better horse",
    })
    await deleted.delete("/users/me")
    await refresh(reused.refreshToken)
    for (const token of tokens) expect(await works(token)).toBe(false)

    const areRefused = async () =>
      !(await Promise.all(tokens.map((token) => works(token, other)))).includes(true)
    expect(await within5s(areRefused)).toBe(true)
    expect(await works(changed.token, other)).toBe(true)
  },
  SLOW,
)

test(
  "a revocation that is committed late, after younger ones, is not missed",
  async () => {
    const slow = await account()
    const fast = await account()
    expect(await works(fast.token)).toBe(true)
    await sql.begin(async (transaction) => {
      await transaction`
      insert into revocations (key, expires_at)
      values (${`user:${slow.id}`}, now() + interval '1 hour')`
      await sql`
      insert into revocations (key, expires_at)
      values (${`user:${fast.id}`}, now() + interval '1 hour')`
      expect(await works(slow.token)).toBe(true)
      expect(await within5s(async () => !(await works(fast.token)))).toBe(true)
      expect(await works(slow.token)).toBe(true)
    })
    expect(await within5s(async () => !(await works(slow.token)))).toBe(true)
  },
  SLOW,
)

test(
  "the service deletes what expired, and nothing else",
  async () => {
    const ada = await account()
    const second = await app.logIn(ada)
    const sessionId = String(claimsOf(second.token)["jti"]).slice(0, 36)
    await sql`
    update sessions
    set expires_at = now() - interval '2 minutes'
    where id = ${sessionId}`
    await sql`
    insert into throttles (key, attempts, expires_at)
    select 'old ' || number, 1, now() - interval '2 minutes'
    from generate_series(1, 2500) as number`
    await sql`
    insert into revocations (key, expires_at)
    values ('token:old', now() - interval '2 minutes'), ('token:new', now() + interval '1 hour')`
    const expired = async () => {
      const [row] = await sql<[{ rows: number }]>`
      select
        (select count(*) from sessions where id = ${sessionId})
        + (select count(*) from refresh_tokens where session_id = ${sessionId})
        + (select count(*) from throttles where key like 'old %')
        + (select count(*) from revocations where key = 'token:old') as rows`
      return row.rows
    }
    expect(await expired()).toBe(2_503)
    // Any instance does it, from its start on.
    await using _ = await startApp({ DATABASE_URL: app.databaseUrl })
    expect(await within5s(async () => (await expired()) === 0)).toBe(true)
    expect(await sql`select from revocations where key = 'token:new'`).toHaveLength(1)
    expect((await refresh(ada.refreshToken)).status).toBe(200)
  },
  SLOW,
)
