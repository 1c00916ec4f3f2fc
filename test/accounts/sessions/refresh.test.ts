/** A session is one rotation of refresh tokens. */
import { expect, test } from "bun:test"
import { randomBytes, randomUUID } from "node:crypto"
import { createMac } from "../../../src/keys.ts"
import { insertAccount } from "../../support/accounts.ts"
import { startApp } from "../../support/app.ts"
import { sessionCalls, sessionIdOf } from "../../support/sessions.ts"
import { shareApp } from "../../support/shared-app.ts"
import { claimsOf, SECRET_KEY } from "../../support/tokens.ts"

const { app, sql, account } = await shareApp()

const { refresh, works } = sessionCalls(app)

/** As if the session had been refreshed so long ago. */
const age = (sessionId: string, seconds: number) => sql`
  update sessions
  set rotated_at = rotated_at - make_interval(secs => ${seconds})
  where id = ${sessionId}`

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

test("a refresh whose answer got lost may be repeated within 10 s, for the same refresh token", async () => {
  const repeatOfLost = async () => {
    const ada = await account()
    const started = performance.now()
    const lost = await refresh(ada.refreshToken)
    await age(sessionIdOf(ada.token), 8)
    const repeat = await refresh(ada.refreshToken)
    return { lost, repeat, seconds: 8 + (performance.now() - started) / 1_000 }
  }
  let repeated = await repeatOfLost()
  // The machine may be so busy that it comes too late.
  while (repeated.seconds >= 10) repeated = await repeatOfLost()
  const { lost, repeat } = repeated
  const { status, pair } = repeat
  expect(status).toBe(200)
  expect(pair.refresh_token).toBe(lost.pair.refresh_token)
  expect(pair.access_token).not.toBe(lost.pair.access_token)
  expect(await works(pair.access_token)).toBe(true)
  expect((await refresh(pair.refresh_token)).status).toBe(200)
})

test("a refresh token from before they named their user is good", async () => {
  const ada = await account()
  const [id, generation] = ada.refreshToken.split(".")
  const text = `${id}.${generation}`
  const { sign } = createMac([SECRET_KEY], "refresh tokens")
  expect((await refresh(`${text}.${sign(text)}`)).status).toBe(200)
})

const expectEnded = async (tokens: string[], refreshToken: string) => {
  for (const token of tokens) expect(await works(token)).toBe(false)
  const answer = await refresh(refreshToken)
  expect(answer.status).toBe(401)
  expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED" })
}

test("a refresh token that is used again after 10 s ends the whole session", async () => {
  const ada = await account()
  const second = await refresh(ada.refreshToken)
  const another = await app.logIn(ada)
  await age(sessionIdOf(ada.token), 11)
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  await expectEnded([ada.token, second.pair.access_token], second.pair.refresh_token)
  expect(await works(another.token)).toBe(true)
})

test("a refresh token that is used again once its successor was used ends the session at once", async () => {
  const ada = await account()
  const second = await refresh(ada.refreshToken)
  const third = await refresh(second.pair.refresh_token)
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  const tokens = [ada.token, second.pair.access_token, third.pair.access_token]
  await expectEnded(tokens, third.pair.refresh_token)
})

test("a thief and the owner do not both go on, whoever is first", async () => {
  const ada = await account()
  const [thief, owner] = await Promise.all([refresh(ada.refreshToken), refresh(ada.refreshToken)])
  expect(thief.pair.refresh_token).toBe(owner.pair.refresh_token)
  const thiefs = await refresh(thief.pair.refresh_token)
  expect(thiefs.status).toBe(200)
  await age(sessionIdOf(ada.token), 11)
  expect((await refresh(owner.pair.refresh_token)).status).toBe(401)
  await expectEnded([thiefs.pair.access_token], thiefs.pair.refresh_token)
})

test("twenty concurrent refreshes of one token get the same successor, and access tokens that work", async () => {
  const ada = await account()
  const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(ada.refreshToken)))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(new Set(answers.map(({ pair }) => pair.refresh_token)).size).toBe(1)
  expect(new Set(answers.map(({ pair }) => pair.access_token)).size).toBe(20)
  for (const { pair } of answers) expect(await works(pair.access_token)).toBe(true)
  expect((await refresh(answers[0]?.pair.refresh_token ?? "")).status).toBe(200)
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

test("a refresh token that is wrong, forged, expired or of another kind is refused, and ends nothing", async () => {
  const ada = await account()
  const [id = "", generation, user, signature = ""] = ada.refreshToken.split(".")
  const forged = [
    `${id}.${Number(generation) + 1}.${user}.${signature}`,
    `${id}.0.${user}.${signature}`,
    `${id}.${generation}.${Number(user) + 1}.${signature}`,
    `${id}.${generation}.${user}.${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : "A"}`,
    `${id}.${generation}.${user}.`,
    `${id}.${generation}.${user}`,
    `${id}.${generation}.${user}.${createMac([SECRET_KEY], "cursors").sign(`${id}.${generation}.${user}`)}`,
    `${randomUUID()}.${generation}.${user}.${signature}`,
  ]
  const foreign = createMac([SECRET_KEY], "refresh tokens").sign(`${randomUUID()}.1`)
  const unknown = ["", "x", ada.token, randomUUID(), randomBytes(32).toString("base64url"), foreign]
  for (const token of [...forged, ...unknown]) {
    const answer = await refresh(token)
    expect(answer.status).toBe(401)
    expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED" })
    expect(answer.headers.get("www-authenticate")).toBe("Bearer")
  }
  expect(await works(ada.token)).toBe(true)
  await age(sessionIdOf(ada.token), 30 * 24 * 60 * 60)
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  expect(await works(ada.token)).toBe(true)
})

test("the database holds nothing of a refresh token", async () => {
  const ada = await account()
  const [row] = await sql<[{ row: string }]>`
    select sessions::text as row
    from sessions
    where id = ${sessionIdOf(ada.token)}`
  expect(row.row).not.toContain(ada.refreshToken.split(".").at(-1) ?? "")
})

test("a refresh token that a restored backup does not know yet goes on", async () => {
  const ada = await account()
  const second = await refresh(ada.refreshToken)
  await sql`update sessions set generation = 1 where id = ${sessionIdOf(ada.token)}`
  const third = await refresh(second.pair.refresh_token)
  expect(third.status).toBe(200)
  expect((await refresh(ada.refreshToken)).status).toBe(401)
  expect((await refresh(third.pair.refresh_token)).status).toBe(401)
})

test("a session ends SESSION_MAX_DAYS after its login, however often it is refreshed", async () => {
  await using strict = await startApp({ DATABASE_URL: app.databaseUrl, SESSION_MAX_DAYS: "2" })
  const ada = await insertAccount(strict, sql)
  const id = sessionIdOf(ada.token)
  await sql`
    update sessions
    set created_at = now() - interval '2 days' + interval '10 minutes'
    where id = ${id}`
  const last = await refresh(ada.refreshToken, strict)
  const { expires_in } = last.body as { expires_in: number }
  expect(expires_in).toBeGreaterThan(500)
  expect(expires_in).toBeLessThanOrEqual(600)
  expect(Number(claimsOf(last.pair.access_token)["exp"]) - Date.now() / 1000).toBeLessThan(601)
  await sql`update sessions set created_at = now() - interval '2 days' where id = ${id}`
  expect((await refresh(last.pair.refresh_token, strict)).status).toBe(401)
})
