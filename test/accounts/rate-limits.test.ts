/** The limits on logins and registrations, counted in the database. */
import { afterAll, beforeEach, expect, test } from "bun:test"
import { createRateLimits } from "../../src/accounts/rate-limits.ts"
import { connect } from "../../src/database/connect.ts"
import { type App, startApp } from "../support/app.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql, account } = await shareApp({ TRUSTED_PROXIES: "127.0.0.0/8" })

/** Each test counts for addresses of its own. */
let network = 0
beforeEach(() => {
  network++
})
const address = (host = 1) => `198.18.${network}.${host}`

const logIn = (
  email: string,
  password: string,
  { from = address(), at = app }: { from?: string; at?: App } = {},
) =>
  at.call("POST", "/api/v1/auth/login", {
    headers: { "x-forwarded-for": from },
    body: { email, password },
  })

const statusesOf = (answers: { status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

const guesses = async (times: number, email: string, options = {}) =>
  statusesOf(await Promise.all(Array.from({ length: times }, () => logIn(email, "wrong", options))))

const operator = connect(app.databaseUrl, 1)
afterAll(() => operator.end())
const limits = createRateLimits(operator, { REGISTRATIONS_PER_HOUR: 1 })

/** Guesses that are counted, without their hashes. */
const countOnly = async (emails: string[], from = address()) => {
  const count = async (email: string) => limits.countAttempt(limits.admit({ email }, from))
  const counted = emails.map((email) =>
    count(email).then(
      () => ({ status: 401 }),
      (problem: { status: number }) => problem,
    ),
  )
  return statusesOf(await Promise.all(counted))
}
const times = (count: number, email: string) => Array<string>(count).fill(email)

/** One that is made, and eight that are only counted: each costs a hash. */
const nineGuesses = async (email: string, options = {}) => {
  expect((await logIn(email, "wrong", options)).status).toBe(401)
  await sql`update rate_limits set attempts = attempts + 8 where attempts > 0`
}

test("of any number of concurrent guesses at an account ten are verified", async () => {
  const ada = await account()
  expect(await guesses(40, ada.email)).toEqual({ 401: 10, 429: 30 })
})

test("after ten failed logins the right password is refused too, and only there", async () => {
  const ada = await account()
  const bob = await account()
  await nineGuesses(ada.email)
  expect((await logIn(ada.email, "wrong")).status).toBe(401)
  const refused = await logIn(ada.email.toUpperCase(), ada.password)
  expect(refused.status).toBe(429)
  expect(refused.body).toMatchObject({ error_code: "TOO_MANY_REQUESTS", status: 429 })
  const retryAfter = Number(refused.headers.get("retry-after"))
  expect(retryAfter).toBeGreaterThan(800)
  expect(retryAfter).toBeLessThanOrEqual(900)
  expect((await logIn(bob.email, bob.password)).status).toBe(200)
  expect((await logIn(ada.email, ada.password, { from: address(2) })).status).toBe(200)

  await using other = await startApp({
    DATABASE_URL: app.databaseUrl,
    TRUSTED_PROXIES: "127.0.0.1",
  })
  expect((await logIn(ada.email, ada.password, { at: other })).status).toBe(429)
  await sql`update rate_limits set expires_at = now()`
  await using later = await startApp({
    DATABASE_URL: app.databaseUrl,
    TRUSTED_PROXIES: "127.0.0.1",
  })
  expect((await logIn(ada.email, ada.password, { at: later })).status).toBe(200)
})

test("an email that nobody has is limited like any other, whatever its case", async () => {
  await nineGuesses("nobody@example.org")
  expect(await guesses(2, "Nobody@Example.org ")).toEqual({ 401: 1, 429: 1 })
})

test("a success clears the count of the account and the address", async () => {
  const ada = await account()
  for (let round = 0; round < 2; round++) {
    await nineGuesses(ada.email)
    expect((await logIn(ada.email, ada.password)).status).toBe(200)
  }
})

test("right passwords are never refused, however many log in at once", async () => {
  const ada = await account()
  const logins = Array.from({ length: 12 }, () => logIn(ada.email, ada.password))
  expect(statusesOf(await Promise.all(logins))).toEqual({ 200: 12 })
})

test("a hundred failed logins from an address are the last, whoever they name", async () => {
  const ada = await account()
  const hundredth = async () => {
    await sql`delete from rate_limits`
    await logIn("a@example.org", "wrong")
    await logIn("b@example.org", "wrong")
    // Both of them counted for the address, and once each for an email.
    await sql`update rate_limits set attempts = 99 where attempts = 2`
    return logIn("c@example.org", "wrong")
  }
  expect((await hundredth()).status).toBe(401)
  expect((await logIn(ada.email, ada.password)).status).toBe(429)
  expect((await logIn(ada.email, ada.password, { from: address(2) })).status).toBe(200)
})

test("an address over its limit is refused before the account is looked for, unless somebody is known there", async () => {
  const ada = await account()
  expect((await logIn(ada.email, ada.password, { from: address(2) })).status).toBe(200)
  for (const from of [address(1), address(2)]) {
    await sql`delete from rate_limits`
    await logIn("a@example.org", "wrong", { from })
    await logIn("b@example.org", "wrong", { from })
    await sql`update rate_limits set attempts = 100 where attempts = 2`
    expect((await logIn("c@example.org", "wrong", { from })).status).toBe(429)
  }
  await sql`alter table users rename to hidden`
  const refused = await logIn(ada.email, ada.password)
  await sql`alter table hidden rename to users`
  expect(refused.status).toBe(429)
  expect((await logIn(ada.email, ada.password, { from: address(2) })).status).toBe(200)
})

test("what is refused by a limit is not counted as a failed login of the address", async () => {
  await sql`delete from rate_limits`
  await nineGuesses("nobody@example.org")
  expect((await logIn("nobody@example.org", "wrong")).status).toBe(401)
  expect(await guesses(20, "nobody@example.org")).toEqual({ 429: 20 })
  const counts = await sql<{ attempts: number }[]>`select attempts from rate_limits`
  expect(counts.map(({ attempts }) => attempts)).toEqual([10, 10, 10])
})

test("a wrong current password counts as a failed login", async () => {
  const ada = await account()
  const change = (current_password: string) =>
    ada.put("/users/me/password", { current_password, new_password: "a better horse" }, from)
  const from = { "x-forwarded-for": address() }
  await nineGuesses(ada.email)
  expect(statusesOf([await change("wrong"), await change("wrong")])).toEqual({ 403: 1, 429: 1 })
  expect((await change(ada.password)).status).toBe(429)
  expect((await logIn(ada.email, ada.password)).status).toBe(429)
})

test("a right current password clears the count", async () => {
  const ada = await account()
  await nineGuesses(ada.email)
  const changed = await ada.put(
    "/users/me/password",
    { current_password: ada.password, new_password: "a better horse" },
    { "x-forwarded-for": address() },
  )
  expect(changed.status).toBe(200)
  await nineGuesses(ada.email)
  expect(await guesses(2, ada.email)).toEqual({ 401: 1, 429: 1 })
})

test("neither emails nor addresses are stored with the counts", async () => {
  await sql`delete from rate_limits`
  await logIn("nobody@example.org", "wrong")
  const rows = await sql<{ row: string }[]>`select rate_limits::text as row from rate_limits`
  expect(rows).toHaveLength(3)
  for (const { row } of rows) expect(row).not.toMatch(/nobody|198\.18/)
})

test("REGISTRATIONS_PER_HOUR limits the registrations of an address", async () => {
  await using strict = await startApp({
    TRUSTED_PROXIES: "127.0.0.1",
    REGISTRATIONS_PER_HOUR: "3",
  })
  const register = (name: string, from: string) =>
    strict.call("POST", "/api/v1/auth/register", {
      headers: { "x-forwarded-for": from },
      body: { email: `${name}@example.org`, password: "correct horse" },
    })
  const attempts = ["a", "b", "c", "d", "e", "f"].map((name) => register(name, address()))
  expect(statusesOf(await Promise.all(attempts))).toEqual({ 201: 3, 429: 3 })
  const { headers } = await register("g", address())
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(3_500)
  expect((await register("g", address(2))).status).toBe(201)
})

test("X-Forwarded-For means nothing unless a trusted proxy says it", async () => {
  await using exposed = await startApp({ DATABASE_URL: app.databaseUrl })
  const guess = (from: string) => logIn("nobody@example.org", "wrong", { from, at: exposed })
  expect((await guess(address(1))).status).toBe(401)
  await sql`update rate_limits set attempts = attempts + 9 where attempts > 0`
  expect((await guess(address(2))).status).toBe(429)
})

test("a login takes as long for an unknown email as for a wrong password", async () => {
  const ada = await app.account()
  const time = async (email: string) => {
    const start = performance.now()
    expect((await logIn(email, "wrong")).status).toBe(401)
    return performance.now() - start
  }
  // In turn, and the shortest of each: a busy machine makes some of them longer, and none shorter.
  const unknown: number[] = []
  const known: number[] = []
  const areAlike = () => {
    // Without a hash it would take a tenth.
    const ratio = Math.min(...unknown) / Math.min(...known)
    return ratio > 0.4 && ratio < 2.5
  }
  for (let round = 0; round < 7 || !areAlike(); round++) {
    expect(round).toBeLessThan(100)
    await sql`delete from rate_limits`
    unknown.push(await time("nobody@example.org"))
    known.push(await time(ada.email))
  }
})

/** Each in a network of its own. */
const site = (number: number) => `2001:db8:${number.toString(16)}::1`

test("a hundred failed logins of an account from everywhere are the last, but where it is known", async () => {
  const ada = await account()
  const bob = await account()
  expect((await logIn(ada.email, ada.password)).status).toBe(200)
  const answers = Array.from({ length: 110 }, (_, i) =>
    logIn(ada.email, "wrong", { from: site(network * 1_000 + i) }),
  )
  expect(statusesOf(await Promise.all(answers))).toEqual({ 401: 100, 429: 10 })
  expect((await logIn(ada.email, ada.password, { from: address(2) })).status).toBe(429)
  expect((await logIn(ada.email, ada.password)).status).toBe(200)
  expect((await logIn(bob.email, bob.password, { from: address(2) })).status).toBe(200)
})

test("every address stays known for 30 days", async () => {
  const ada = await account()
  for (let host = 1; host <= 21; host++)
    expect((await logIn(ada.email, ada.password, { from: address(host) })).status).toBe(200)
  const known = await sql<{ days: number; row: string }[]>`
    select extract(day from expires_at - now())::integer as days, known_addresses::text as row
    from known_addresses
    where user_id = ${ada.id}`
  // One is that of the test's client, where it logged in first.
  expect(known.map(({ days }) => days)).toEqual(Array.from({ length: 22 }, () => 29))
  for (const { row } of known) expect(row).not.toContain("198.18")

  await sql`delete from rate_limits`
  await logIn(ada.email, "wrong", { from: address(30) })
  await logIn(ada.email, "wrong", { from: address(31) })
  // Both of them counted for the account, and once each for an address.
  await sql`update rate_limits set attempts = 100 where attempts = 2`
  for (const host of [1, 21])
    expect((await logIn(ada.email, ada.password, { from: address(host) })).status).toBe(200)
  await sql`update known_addresses set expires_at = now() where user_id = ${ada.id}`
  expect((await logIn(ada.email, ada.password, { from: address(21) })).status).toBe(429)
})

test("neighbours' failed logins do not lock an account where it is known", async () => {
  const ada = await account()
  const bob = await account()
  expect((await logIn(ada.email, ada.password)).status).toBe(200)
  await sql`delete from rate_limits`
  await logIn("a@example.org", "wrong")
  await logIn("b@example.org", "wrong")
  // Both of them counted for the address, and once each for an email.
  await sql`update rate_limits set attempts = 100 where attempts = 2`
  expect((await logIn(bob.email, bob.password)).status).toBe(429)
  expect((await logIn(ada.email, ada.password)).status).toBe(200)
  expect(await guesses(11, ada.email)).toEqual({ 401: 10, 429: 1 })
})

test("a thousand failed logins from a /48 are the last, whichever of its /64 they come from", async () => {
  await sql`delete from rate_limits`
  const prefix = `2001:db8:f${network.toString(16)}`
  await logIn("a@example.org", "wrong", { from: `${prefix}:1::1` })
  await logIn("b@example.org", "wrong", { from: `${prefix}:2::1` })
  await sql`update rate_limits set attempts = 1000 where attempts = 2`
  expect((await logIn("c@example.org", "wrong", { from: `${prefix}:3::1` })).status).toBe(429)
  expect((await logIn("c@example.org", "wrong", { from: site(7) })).status).toBe(401)
})

test("NAT64 counts as the IPv4 address in it", async () => {
  const from = `64:ff9b::${address(1)}`
  await nineGuesses("nat@example.org", { from })
  expect(await guesses(2, "nat@example.org", { from })).toEqual({ 401: 1, 429: 1 })
  expect((await logIn("nat@example.org", "wrong", { from: address(1) })).status).toBe(429)
  expect((await logIn("nat@example.org", "wrong", { from: `64:ff9b::${address(2)}` })).status).toBe(
    401,
  )
})

test("guesses at an email that looks like a user's id do not lock that user", async () => {
  const ada = await account()
  for (const email of [String(ada.id), `id ${ada.id}`])
    expect(await countOnly(times(12, email))).toEqual({ 401: 10, 429: 2 })
  const [row] = await sql<[{ password_hash: string }]>`
    select password_hash
    from users
    where id = ${ada.id}`
  const { rules } = limits.admit({ id: ada.id, email: null, is_known: false, ...row }, address())
  expect(rules.length).toBeGreaterThan(0)
})

test("an email that nobody can have is answered like one that nobody has, without a statement", async () => {
  const impossible = ["x<victim@example.org>", `${"x".repeat(60_000)}@example.org`, "nobody", ""]
  const answers = [await logIn("nobody@example.org", "wrong")]
  await sql`delete from rate_limits`
  for (const email of impossible) answers.push(await logIn(email, "wrong"))
  for (const { status, body } of answers) {
    expect(status).toBe(401)
    expect(body).toEqual({ ...(answers[0]?.body as object), timestamp: expect.any(String) })
  }
  // Each attempt of an email that somebody may have is counted there.
  expect(await sql`select from rate_limits`).toHaveLength(0)
  expect(await countOnly(times(12, "nobody@"), address(2))).toEqual({ 401: 10, 429: 2 })
  const many = Array.from({ length: 110 }, (_, i) => `nobody ${i}`)
  expect(await countOnly(many, address(3))).toEqual({ 401: 100, 429: 10 })
  expect(await sql`select from rate_limits`).toHaveLength(0)
})

test("sixty logins of an account in 15 minutes are the last, wherever they come from", async () => {
  const ada = await account()
  const logins = Array.from({ length: 70 }, (_, i) =>
    logIn(ada.email, ada.password, { from: site(network * 1_000 + i) }),
  )
  // One was the account's own.
  expect(statusesOf(await Promise.all(logins))).toEqual({ 200: 59, 429: 11 })
  const refused = await logIn(ada.email, ada.password)
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(800)
  await sql`update rate_limits set expires_at = now()`
  await using later = await startApp({ DATABASE_URL: app.databaseUrl })
  expect((await logIn(ada.email, ada.password, { at: later })).status).toBe(200)
})

test("with a stolen access token no more than a hundred passwords can be guessed", async () => {
  const ada = await account()
  const guess = (from: string) =>
    ada.put(
      "/users/me/password",
      { current_password: "wrong", new_password: "a better horse" },
      { "x-forwarded-for": from },
    )
  const answers = Array.from({ length: 110 }, (_, i) => guess(site(network * 1_000 + i)))
  expect(statusesOf(await Promise.all(answers))).toEqual({ 403: 100, 429: 10 })
})
