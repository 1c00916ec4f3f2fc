/** Changing the password: it ends all that was there. */
import { expect, test } from "bun:test"
import { setClock } from "../support/clock.ts"
import { userCommand } from "../support/commands.ts"
import { type Pair, sessionCalls } from "../support/sessions.ts"
import { shareApp } from "../support/shared-app.ts"
import { secondsFromNow, tokenFor } from "../support/tokens.ts"

const { app, sql, account } = await shareApp()

const { refresh, works } = sessionCalls(app)

test("a password change ends every session, and the old password, and answers with a new session", async () => {
  const ada = await account()
  const others = [await app.logIn(ada), await app.logIn(ada)]
  const change = { current_password: ada.password, new_password: "a better horse" }
  const changed = await ada.put("/users/me/password", change)
  expect(changed.status).toBe(200)
  expect(changed.headers.get("cache-control")).toBe("no-store")
  expect(changed.body).toEqual({
    access_token: expect.any(String),
    token_type: "bearer",
    expires_in: 1_800,
    refresh_token: expect.any(String),
  })
  for (const ended of [ada, ...others]) {
    expect(await works(ended.token)).toBe(false)
    expect((await refresh(ended.refreshToken)).status).toBe(401)
  }
  const { access_token, refresh_token } = changed.body as Pair
  expect(await works(access_token)).toBe(true)
  expect((await refresh(refresh_token)).status).toBe(200)
  expect((await app.logIn(ada)).status).toBe(401)
  expect((await app.logIn({ ...ada, password: change.new_password })).status).toBe(200)
})

test("a password change ends tokens without a session that were issued before it, by their iat", async () => {
  const ada = await account()
  const before = { iat: secondsFromNow(-1) }
  const change = { current_password: ada.password, new_password: "a better horse" }
  const outside = app.withToken(tokenFor(ada.id, before))
  const undated = app.withToken(tokenFor(ada.id))
  for (const { token } of [outside, undated]) expect(await works(token)).toBe(true)
  const { status, body } = await outside.put("/users/me/password", change)
  expect(status).toBe(200)
  for (const { token } of [outside, undated, ada]) expect(await works(token)).toBe(false)
  expect(await works(tokenFor(ada.id, { ...before, jti: "never seen" }))).toBe(false)
  expect(await works(tokenFor(ada.id, { jti: "never seen" }))).toBe(false)
  expect(await works(tokenFor(ada.id, { iat: secondsFromNow(1) }))).toBe(true)
  expect(await works((body as Pair).access_token)).toBe(true)
})

test("of two password changes in a row each ends the session of the one before", async () => {
  const ada = await account()
  const change = (from: string, to: string, token: string) =>
    app.withToken(token).put("/users/me/password", { current_password: from, new_password: to })
  const first = (await change(ada.password, "a better horse", ada.token)).body as Pair
  const second = (await change("a better horse", "the best horse", first.access_token)).body as Pair
  expect(await works(first.access_token)).toBe(false)
  expect((await refresh(first.refresh_token)).status).toBe(401)
  expect(await works(second.access_token)).toBe(true)
})

test("a password change ends any number of sessions, and none is shown any more", async () => {
  const ada = await account()
  await sql`
    insert into sessions (id, user_id, created_at, expires_at)
    select gen_random_uuid(), ${ada.id}, now() - interval '1 day', now() + interval '1 day'
    from generate_series(1, 1500)`
  const change = { current_password: ada.password, new_password: "a better horse" }
  const { access_token } = (await ada.put("/users/me/password", change)).body as Pair
  const changed = app.withToken(access_token)
  const { body } = await changed.get("/users/me/sessions")
  expect(body).toHaveLength(1)
  expect((await changed.get("/users/me/export")).body).toMatchObject({
    sessions: [{ address: "127.0.0.1" }],
  })
  const shown = await userCommand(app.databaseUrl, "show", ada.email)
  expect(shown).toMatchObject({ id: ada.id, sessions: 1 })
  const [ended] = await sql<{ id: string }[]>`
    select id
    from sessions
    where user_id = ${ada.id}
    order by created_at
    limit 1`
  expect((await changed.delete(`/users/me/sessions/${ended?.id}`)).status).toBe(404)
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
  expect((await changed).status).toBe(200)
  for (const login of await Promise.all([...logins, ...late])) {
    expect([200, 401]).toContain(login.status)
    expect(await works(login.token)).toBe(false)
  }
})

test("a login that a password change overtakes opens no session", async () => {
  const ada = await account()
  const bob = await app.account("bob@example.org", "another horse")
  // It waits for the change, however long that takes on a busy machine.
  using _ = setClock()
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
  const statuses = async () => {
    const ada = await app.account()
    const change = (new_password: string) =>
      ada.put("/users/me/password", { current_password: ada.password, new_password })
    const answers = await Promise.all([change("a first horse"), change("a second horse")])
    return answers.map(({ status }) => status).sort()
  }
  let found = await statuses()
  // A machine that is so busy lets one come after the other has ended its session.
  while (found.includes(401)) found = await statuses()
  expect(found).toEqual([200, 403])
})
