/** Passwords are hashed in turns: one address that sends many logins delays nobody else's. */
import { expect, test } from "bun:test"
import { openRaw, rawRequest, untilItHasLooked } from "../support/raw.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp({ TRUSTED_PROXIES: "127.0.0.0/8" })

const logIn = (email: string, password: string, from: string) =>
  app.call("POST", "/api/v1/auth/login", {
    headers: { "x-forwarded-for": from },
    body: { email, password },
  })

test("of a thousand logins at once from one address most are refused at once, and another's has its turn", async () => {
  const ada = await app.account()
  /** How many of the flood are verified while another logs in. */
  const verifiedMeanwhile = async (from: string) => {
    const leaving = new AbortController()
    const answers: { status: number; retryAfter: string | null }[] = []
    const verified = () => answers.filter(({ status }) => status === 401).length
    const refused = () =>
      answers.filter(({ status, retryAfter }) => status === 503 && retryAfter === "5").length
    const flood = Array.from({ length: 1_000 }, async (_, i) => {
      const { status, headers } = await fetch(`${app.url}/api/v1/auth/login`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-forwarded-for": from },
        body: JSON.stringify({ email: `nobody-${i}@example.org`, password: "wrong" }),
        signal: leaving.signal,
      })
      answers.push({ status, retryAfter: headers.get("retry-after") })
    })
    const settled = Promise.allSettled(flood)
    await Promise.race(flood)
    const before = verified()
    expect((await logIn(ada.email, ada.password, "198.18.0.2")).status).toBe(200)
    const meanwhile = verified() - before
    while (refused() <= 500 && answers.length < flood.length) await Bun.sleep(5)
    expect(refused()).toBeGreaterThan(500)
    leaving.abort()
    await settled
    // A hundred of an address are the last.
    expect(answers.filter(({ status }) => ![401, 429, 503].includes(status))).toEqual([])
    return meanwhile
  }
  // It waits for the hashes under way, and for what a busy machine does until it is in the queue: the least
  // of some. Without a turn of its own each would be a hundred.
  const counts: number[] = []
  do counts.push(await verifiedMeanwhile(`198.18.1.${counts.length}`))
  while (Math.min(...counts) >= 40 && counts.length < 5)
  expect(Math.min(...counts)).toBeLessThan(40)
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
  await sql.begin(async (transaction) => {
    // Those under way wait to be counted, and all others behind them.
    await transaction`lock table rate_limits in exclusive mode`
    await Promise.all(clients.map((client) => client.send(bytes)))
    await untilItHasLooked(app.url)
    for (const client of clients) client.destroy()
    await Promise.all(clients.map(({ closed }) => closed))
    await untilItHasLooked(app.url)
  })
  expect((await logIn(ada.email, ada.password, "198.18.0.3")).status).toBe(200)
  const [row] = await sql<[{ sessions: number }]>`
    select count(*) as sessions
    from sessions
    where user_id = ${ada.id}`
  expect(row.sessions).toBeLessThan(20)
})
