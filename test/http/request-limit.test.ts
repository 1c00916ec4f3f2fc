/** REQUESTS_PER_MINUTE. */
import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"
import { clockTest, setClock } from "../support/clock.ts"
import { tokenFor } from "../support/tokens.ts"

test("a user has so many requests a minute, and is told how many are left", async () => {
  await using app = await startApp({ REQUESTS_PER_MINUTE: "4", CORS_ORIGINS: "*" })
  const ada = app.withToken(tokenFor(1))
  const answers = []
  for (const path of ["/todos", "/users/me", "/todos/1", "/todos?x=1", "/todos", "/users/me"])
    answers.push(await ada.get(path))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 400, 429, 429])
  for (const [index, { headers }] of answers.entries()) {
    expect(headers.get("ratelimit-policy")).toBe('"default";q=4;w=60')
    const [, left, seconds] =
      /^"default";r=(\d+);t=(\d+)$/.exec(headers.get("ratelimit") ?? "") ?? []
    expect(Number(left)).toBe(Math.max(0, 3 - index))
    expect(Number(seconds)).toBeGreaterThan(50)
    expect(Number(seconds)).toBeLessThanOrEqual(60)
  }
  const refused = answers[4]
  expect(refused?.body).toMatchObject({ error_code: "TOO_MANY_REQUESTS" })
  expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(50)
  expect((await app.withToken(tokenFor(2)).get("/todos")).status).toBe(200)
})

test("a user's tokens share one limit, and strangers are not counted", async () => {
  await using app = await startApp({ REQUESTS_PER_MINUTE: "3" })
  const ada = app.withToken(tokenFor(1))
  const made = await ada.post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
  const script = app.withToken((made.body as { token: string }).token)
  expect((await script.get("/users/me")).status).toBe(403)
  for (let i = 0; i < 5; i++) expect((await app.call("GET", "/api/v1/todos")).status).toBe(401)
  expect((await script.get("/todos")).status).toBe(200)
  for (const caller of [ada, script]) expect((await caller.get("/todos")).status).toBe(429)
})

test("of requests at once no more are let in than one after the other", async () => {
  await using app = await startApp({ REQUESTS_PER_MINUTE: "10" })
  const ada = app.withToken(tokenFor(1))
  // Nobody waits too long for a turn, however busy the machine is.
  using _ = setClock()
  const answers = await Promise.all(Array.from({ length: 30 }, () => ada.get("/todos")))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(10)
})

clockTest("after a minute there are as many again", async () => {
  await using app = await startApp({ REQUESTS_PER_MINUTE: "1" })
  const ada = app.withToken(tokenFor(1))
  const statuses = async () =>
    [await ada.get("/todos"), await ada.get("/todos")].map((a) => a.status)
  expect(await statuses()).toEqual([200, 429])
  using clock = setClock()
  clock.advance(61)
  expect(await statuses()).toEqual([200, 429])
})

test("without a limit nothing is told of one", async () => {
  await using app = await startApp()
  const { headers } = await app.withToken(tokenFor(1)).get("/todos")
  expect(headers.has("ratelimit")).toBe(false)
  expect(headers.has("ratelimit-policy")).toBe(false)
})
