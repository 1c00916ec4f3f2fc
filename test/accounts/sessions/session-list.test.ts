/** Where a user is logged in, and ending one of these sessions. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { startApp } from "../../support/app.ts"
import { isUseSince, sessionCalls, sessionIdOf } from "../../support/sessions.ts"
import { shareApp } from "../../support/shared-app.ts"
import { tokenFor } from "../../support/tokens.ts"

const { app, sql, account } = await shareApp({ TRUSTED_PROXIES: "127.0.0.1" })

const { refresh, works } = sessionCalls(app)

type Session = { id: string; user_agent: string | null; is_current: boolean; last_used_at: string }

const sessionsOf = async (user: { token: string }) =>
  (await app.withToken(user.token).get("/users/me/sessions")).body as Session[]

const logInAs = async (
  { email, password }: { email: string; password: string },
  headers: Record<string, string>,
) => {
  const answer = await app.call("POST", "/api/v1/auth/login", {
    body: { email, password },
    headers,
  })
  return (answer.body as { access_token: string }).access_token
}

test("the list shows each session with what a person recognises, the latest used first", async () => {
  const ada = await account()
  const phone = await logInAs(ada, {
    "user-agent": "Phone/1.0",
    "x-forwarded-for": "2001:db8:1:2:3::4",
  })
  const answer = await ada.get("/users/me/sessions")
  expect(answer.status).toBe(200)
  expect(answer.headers.get("cache-control")).toBe("no-store")
  const session = {
    id: expect.any(String),
    created_at: expect.stringMatching(/Z$/),
    last_used_at: expect.stringMatching(/:00\.000Z$/),
  }
  expect(answer.body).toEqual([
    {
      ...session,
      id: sessionIdOf(phone),
      user_agent: "Phone/1.0",
      address: "2001:db8:1:2",
      is_current: false,
    },
    {
      ...session,
      id: sessionIdOf(ada.token),
      user_agent: expect.stringContaining("Bun"),
      address: "127.0.0.1",
      is_current: true,
    },
  ])
  expect((await sessionsOf(app.withToken(phone))).map(({ is_current }) => is_current)).toEqual([
    true,
    false,
  ])
  expect(await sessionsOf(app.withToken(tokenFor(ada.id)))).toHaveLength(2)
})

test("a user agent is kept up to 256 characters, and none that cannot be seen", async () => {
  const ada = await account()
  await logInAs(ada, { "user-agent": `a\tb\u00ad${"x".repeat(300)}` })
  const [{ user_agent } = { user_agent: null }] = await sessionsOf(ada)
  expect(user_agent).toBe(`ab${"x".repeat(254)}`)
})

test("a refresh tells from where the session is used now", async () => {
  const ada = await account()
  await app.call("POST", "/api/v1/auth/refresh", {
    body: { refresh_token: ada.refreshToken },
    headers: { "x-forwarded-for": "198.51.100.7", "user-agent": "Moved/2.0" },
  })
  expect(await sessionsOf(ada)).toMatchObject([
    { address: "198.51.100.7", user_agent: "Moved/2.0", is_current: true },
  ])
})

test("when a session was last used is written once a minute and at the end, and not with a request", async () => {
  const ada = await account()
  const other = await startApp({ DATABASE_URL: app.databaseUrl })
  await sql`
    update sessions
    set last_used_at = '2026-01-03T09:30:40Z'
    where user_id = ${ada.id}`
  const before = Date.now()
  for (let i = 0; i < 3; i++)
    expect((await other.withToken(ada.token).get("/todos")).status).toBe(200)
  expect(await sessionsOf(ada)).toMatchObject([{ last_used_at: "2026-01-03T09:30:00.000Z" }])
  await other.stop()
  const [session] = await sessionsOf(ada)
  expect(isUseSince(before, session?.last_used_at)).toBe(true)
})

test("ending a session ends its tokens, and no other session", async () => {
  const ada = await account()
  const lost = await app.session(ada)
  const ended = await ada.delete(`/users/me/sessions/${sessionIdOf(lost.token)}`)
  expect(ended.status).toBe(204)
  expect(await works(lost.token)).toBe(false)
  expect((await refresh(lost.refreshToken)).status).toBe(401)
  expect(await works(ada.token)).toBe(true)
  expect(await sessionsOf(ada)).toMatchObject([{ id: sessionIdOf(ada.token) }])
})

test("somebody else's session, an ended one and no session are the same 404", async () => {
  const ada = await account()
  const bob = await account()
  const ended = await app.session(ada)
  await ended.post("/auth/logout")
  const ids = [
    sessionIdOf(bob.token),
    sessionIdOf(ended.token),
    randomUUID(),
    "1",
    "%00",
    sessionIdOf(ada.token).toUpperCase(),
  ]
  for (const id of ids) {
    const answer = await ada.delete(`/users/me/sessions/${id}`)
    expect(answer.status).toBe(404)
    expect(answer.body).toMatchObject({ error_code: "NOT_FOUND" })
  }
  expect(await works(bob.token)).toBe(true)
  expect(await works(ada.token)).toBe(true)
})

test("a session that nobody could refresh any more is not listed", async () => {
  const ada = await account()
  await app.session(ada)
  await sql`
    update sessions
    set created_at = now() - interval '366 days'
    where user_id = ${ada.id}
      and id <> ${sessionIdOf(ada.token)}`
  expect(await sessionsOf(ada)).toHaveLength(1)
})

test("strangers learn nothing of sessions", async () => {
  const answers = await Promise.all([
    app.call("GET", "/api/v1/users/me/sessions"),
    app.call("DELETE", "/api/v1/users/me/sessions/1"),
  ])
  expect(answers.map(({ status }) => status)).toEqual([401, 401])
})
