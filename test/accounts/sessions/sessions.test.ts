/** How sessions end: by logout, deletion, revocation and time. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { startApp } from "../../support/app.ts"
import { sessionCalls, within5s } from "../../support/sessions.ts"
import { shareApp } from "../../support/shared-app.ts"
import { claimsOf, tokenFor } from "../../support/tokens.ts"

const { app, sql, account } = await shareApp()

const { refresh, works } = sessionCalls(app)

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

test("a deleted user is gone with all that was theirs, and the email is free", async () => {
  const ada = await account()
  const selfSigned = app.withToken(tokenFor(ada.id))
  await ada.post("/todos", { title: "milk" })
  expect(await works(selfSigned.token)).toBe(true)
  expect((await ada.delete("/users/me")).status).toBe(204)
  const detail = "The account was deleted"
  for (const user of [ada, selfSigned, app.withToken(tokenFor(ada.id, { jti: "new" }))]) {
    const answer = await user.get("/users/me")
    expect(answer.status).toBe(401)
    expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED", detail })
    expect(answer.headers.get("www-authenticate")).toContain(`error_description="${detail}"`)
    expect((await user.post("/todos", { title: "milk" })).status).toBe(401)
  }
  expect(await refresh(ada.refreshToken)).toMatchObject({ status: 401, body: { detail } })
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

test("what is revoked on one instance is refused within 5 s on another that knows the token", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const [loggedOut, changed, deleted, reused] = [
    await account(),
    await account(),
    await account(),
    await account(),
  ]
  const outside = app.withToken(tokenFor(56))
  const second = await app.logIn(changed)
  const { pair } = await refresh(reused.refreshToken)
  await refresh(pair.refresh_token)
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
  const { status, token } = await app.logIn({ ...changed, password: "a better horse" })
  expect(status).toBe(200)
  expect(await works(token, other)).toBe(true)
})

test("a revocation that is committed late, after younger ones, is not missed", async () => {
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
})

test("the service deletes what expired, and nothing else", async () => {
  const ada = await account()
  const second = await app.logIn(ada)
  const sessionId = String(claimsOf(second.token)["jti"]).slice(0, 36)
  await sql`
    update sessions
    set expires_at = now() - interval '2 minutes'
    where id = ${sessionId}`
  await sql`
    insert into rate_limits (key, attempts, expires_at)
    select 'old ' || number, 1, now() - interval '2 minutes'
    from generate_series(1, 2500) as number`
  await sql`
    update known_addresses
    set expires_at = now() - interval '2 minutes'
    where user_id = ${ada.id}`
  await sql`
    insert into revocations (key, expires_at)
    values ('token:old', now() - interval '2 minutes'), ('token:new', now() + interval '1 hour')`
  const expired = async () => {
    const [row] = await sql<[{ rows: number }]>`
      select
        (select count(*) from sessions where id = ${sessionId})
        + (select count(*) from known_addresses where user_id = ${ada.id})
        + (select count(*) from rate_limits where key like 'old %')
        + (select count(*) from revocations where key = 'token:old') as rows`
    return row.rows
  }
  expect(await expired()).toBe(2_503)
  // Any instance does it, from its start on.
  await using _ = await startApp({ DATABASE_URL: app.databaseUrl })
  while ((await expired()) > 0) await Bun.sleep(20)
  expect(await sql`select from revocations where key = 'token:new'`).toHaveLength(1)
  expect((await refresh(ada.refreshToken)).status).toBe(200)
})
