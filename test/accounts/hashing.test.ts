/** Passwords are hashed in turns: one address that sends many logins delays nobody else's. */
import { expect, test } from "bun:test"
import { openRaw, rawRequest } from "../support/raw.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp({ TRUSTED_PROXIES: "127.0.0.0/8" })

const logIn = (email: string, password: string, from: string) =>
  app.call("POST", "/api/v1/auth/login", {
    headers: { "x-forwarded-for": from },
    body: { email, password },
  })

test("of a thousand logins at once from one address most are refused at once, and another's has its turn", async () => {
  const ada = await app.account()
  const leaving = new AbortController()
  const answers: { status: number; retryAfter: string | null }[] = []
  const verified = () => answers.filter(({ status }) => status === 401).length
  const flood = Array.from({ length: 1_000 }, async (_, i) => {
    const { status, headers } = await fetch(`${app.url}/api/v1/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": "198.18.0.1" },
      body: JSON.stringify({ email: `nobody-${i}@example.org`, password: "wrong" }),
      signal: leaving.signal,
    })
    answers.push({ status, retryAfter: headers.get("retry-after") })
  })
  const settled = Promise.allSettled(flood)
  await Promise.race(flood)
  const before = verified()
  expect((await logIn(ada.email, ada.password, "198.18.0.2")).status).toBe(200)
  // It waits for the hashes under way, and for what the machine does meanwhile.
  expect(verified() - before).toBeLessThan(40)
  leaving.abort()
  await settled
  const refused = answers.filter(({ status, retryAfter }) => status === 503 && retryAfter === "5")
  expect(refused.length).toBeGreaterThan(500)
  expect(answers.filter(({ status }) => ![401, 503].includes(status))).toEqual([])
})

test("the logins of clients that left are not made", async () => {
  const ada = await app.account()
  const body = JSON.stringify({ email: ada.email, password: ada.password })
  const bytes = rawRequest(
    "POST /api/v1/auth/login",
    {
      "Content-Type": "application/json",
      "Content-Length": String(body.length),
      "X-Forwarded-For": "198.18.0.3",
    },
    body,
  )
  const clients = Array.from({ length: 90 }, () => openRaw(app.url))
  await Promise.all(clients.map((client) => client.send(bytes)))
  await Bun.sleep(3)
  for (const client of clients) client.destroy()
  await Promise.all(clients.map(({ closed }) => closed))
  expect((await logIn(ada.email, ada.password, "198.18.0.3")).status).toBe(200)
  const [row] = await sql<[{ sessions: number }]>`
    select count(*) as sessions
    from sessions
    where user_id = ${ada.id}`
  expect(row.sessions).toBeLessThan(20)
})
