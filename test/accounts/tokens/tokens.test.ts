/** Which tokens of ours are accepted, and what verifying them costs. */
import { describe, expect, test } from "bun:test"
import { createCache } from "../../../src/concurrency/cache.ts"
import { startApp } from "../../support/app.ts"
import { setClock } from "../../support/clock.ts"
import { isUseSince } from "../../support/sessions.ts"
import { shareApp } from "../../support/shared-app.ts"
import { startTokenInstance } from "../../support/token-instance.ts"
import { claimsOf, secondsFromNow, signToken, tokenFor } from "../../support/tokens.ts"

const { app, sql } = await shareApp()

const exp = secondsFromNow(600)
const sub = "1"
const other = "another secret that is long enough for every algorithm of the family"
const octKey = { kty: "oct", k: Buffer.from(other).toString("base64url") }
const [header = "", payload = "", signature = ""] = tokenFor(1).split(".")

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const otherSpelling = (last: string) => alphabet[alphabet.indexOf(last) + 1] ?? ""

const refused: [name: string, token: string][] = [
  ["no signature (alg none)", `${signToken({ sub, exp }, { alg: "none" }).replace(/[^.]+$/, "")}`],
  ["alg none and a signature", signToken({ sub, exp }, { alg: "none" })],
  ["HS384 under the same secret", signToken({ sub, exp }, { alg: "HS384" })],
  ["HS512 under the same secret", signToken({ sub, exp }, { alg: "HS512" })],
  ["an alg in lower case", signToken({ sub, exp }, { alg: "hs256" })],
  ["the alg of a public key", signToken({ sub, exp }, { alg: "RS256" })],
  ["a number as alg", signToken({ sub, exp }, { alg: 256 })],
  ["a signature by another secret", signToken({ sub, exp }, {}, other)],
  ["a claim changed after signing", `${header}.${tokenFor(2).split(".")[1]}.${signature}`],
  ["a space in its signature", `${header}.${payload}.${signature.replace(/^./, "$& ")}`],
  ["padding after its signature", `${header}.${payload}.${signature}=`],
  // The last of 43 characters has two bits more than the signature.
  ["the spare bits of its signature set", tokenFor(1).replace(/.$/, otherSpelling)],
  ["its signature missing", `${header}.${payload}.`],
  ["two parts", `${header}.${payload}`],
  ["four parts", `${header}.${payload}.${signature}.${signature}`],
  ["a key of its own (jwk)", signToken({ sub, exp }, { jwk: octKey }, other)],
  ["an extension that must be understood (crit)", signToken({ sub, exp }, { crit: ["x"], x: 1 })],
  ["an unencoded payload (b64)", signToken({ sub, exp }, { crit: ["b64"], b64: false })],
  ["an issuer that is not configured", tokenFor(1, { iss: "https://example.org" })],
  ["an empty issuer", tokenFor(1, { iss: "" })],
  ["no exp", signToken({ sub })],
  ["a string as exp", signToken({ sub, exp: String(exp) })],
  ["null as exp", signToken({ sub, exp: null })],
  ["an infinite exp", signToken(`{"sub":"1","exp":1e999}`)],
  ["no sub", signToken({ exp })],
  ["a number as sub", signToken({ sub: 1, exp })],
  ["a list as sub", signToken({ sub: ["1"], exp })],
  ["nbf more than 5 s ahead", tokenFor(1, { nbf: secondsFromNow(60) })],
  ["iat more than 5 s ahead", tokenFor(1, { iat: secondsFromNow(60) })],
  ["a string as nbf", tokenFor(1, { nbf: "0" })],
  ["a string as iat", tokenFor(1, { iat: "0" })],
  ["claims that are a list", signToken("[]")],
  ["claims that are no JSON", signToken("{")],
  ["20 KB of rubbish, less what headers may have", "x".repeat(15_000)],
  ["claims of 8 KB", tokenFor(1, { filler: "x".repeat(8_192) })],
  ["three dots", "..."],
  ...["", "0", "-1", "01", "1e3", "0x1", "1.0", " 1", "٣", "9007199254740992", "1".repeat(200)].map(
    (id): [string, string] => [`${JSON.stringify(id.slice(0, 20))} as sub`, tokenFor(id)],
  ),
]

describe("a token is refused as invalid that has", () => {
  for (const [name, token] of refused)
    test(name, async () => {
      // Twice: the second time the refusal is remembered.
      for (let time = 0; time < 2; time++) {
        const answer = await app.withToken(token).get("/users/me")
        expect(answer.status).toBe(401)
        expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED", title: "Unauthorized" })
        const challenge = answer.headers.get("www-authenticate")
        expect(challenge).toStartWith('Bearer error="invalid_token", error_description="')
        expect(challenge).not.toContain("expired")
      }
    })
})

describe("a token is accepted that has", () => {
  const accepted: [name: string, token: string][] = [
    ["sub and exp and no more", tokenFor(1)],
    ["iat and nbf less than 5 s ahead", tokenFor(1, { iat: secondsFromNow(3), nbf: exp - 597 })],
    ["claims that we do not know", tokenFor(1, { aud: "x", role: "admin", nested: { a: [1] } })],
    ["an exp with a fraction", tokenFor(1, { exp: exp + 0.5 })],
    ["an exp that Postgres cannot hold", tokenFor(1, { exp: 1e300 })],
    ["the greatest user id", tokenFor(Number.MAX_SAFE_INTEGER)],
    ["an unknown kid, which means nothing here", signToken({ sub, exp }, { kid: "x" })],
    ...[
      1,
      "x",
      null,
      {},
      { toString: 1, valueOf: 1 },
      "a.b",
      "x".repeat(2_000),
      `${crypto.randomUUID()}.x`,
    ].map((jti): [string, string] => [
      `${JSON.stringify(jti).slice(0, 30)} as jti`,
      tokenFor(1, { jti }),
    ]),
  ]
  for (const [name, token] of accepted)
    test(name, async () => {
      expect((await app.withToken(token).get("/users/me")).status).toBe(200)
    })
})

test("a server that a header names (jku, x5u) is never asked", async () => {
  let asked = 0
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      asked++
      return Response.json({ keys: [octKey] })
    },
  })
  const url = `http://127.0.0.1:${server.port}/keys`
  for (const name of ["jku", "x5u"]) {
    const token = signToken({ sub, exp }, { [name]: url }, other)
    expect((await app.withToken(token).get("/todos")).status).toBe(401)
  }
  expect(asked).toBe(0)
  await server.stop(true)
})

test("a token that expired is told apart from one that is invalid", async () => {
  const { headers } = await app.withToken(tokenFor(1, { exp: secondsFromNow(-1) })).get("/todos")
  expect(headers.get("www-authenticate")).toBe(
    'Bearer error="invalid_token", error_description="The token has expired"',
  )
})

const untilPast = async (seconds: number) => {
  while (Date.now() / 1000 <= seconds) await Bun.sleep(10)
}

/** Tokens by a time that is ever later, because a busy machine needs longer: the first that is answered so. */
const firstAnswered = async (status: number, claims: (time: number) => object) => {
  for (let later = 0.25; ; later *= 2) {
    const time = Date.now() / 1000 + later
    const ada = app.withToken(tokenFor(1, { ...claims(time) }))
    if ((await ada.get("/todos")).status === status) return { ada, time }
  }
}

test("a token that is in use is refused from the moment that it expires", async () => {
  const { ada, time } = await firstAnswered(200, (exp) => ({ exp }))
  await untilPast(time)
  expect((await ada.get("/todos")).text).toContain("expired")
})

test("a token that is not valid yet is accepted once it is", async () => {
  // Clocks may differ by five seconds.
  const { ada, time } = await firstAnswered(401, (nbf) => ({ nbf: nbf + 5 }))
  await untilPast(time)
  expect((await ada.get("/todos")).status).toBe(200)
})

test("the scheme is taken in any case", async () => {
  for (const scheme of ["bearer", "BEARER", "bEaReR"]) {
    const headers = { authorization: `${scheme} ${tokenFor(1)}` }
    expect((await app.call("GET", "/api/v1/todos", { headers })).status).toBe(200)
  }
})

test("a request without a bearer token gets the bare challenge, wherever else a token is", async () => {
  const token = tokenFor(1)
  const requests: [path: string, headers: Record<string, string>][] = [
    ["", {}],
    [`?access_token=${token}`, {}],
    ["", { cookie: `access_token=${token}; auth=${token}` }],
    ["", { authorization: token }],
    ["", { authorization: "Bearer" }],
    ["", { authorization: `Basic ${token}` }],
  ]
  for (const [query, headers] of requests) {
    const answer = await app.call("GET", `/api/v1/todos${query}`, { headers })
    expect(answer.status).toBe(401)
    expect(answer.headers.get("www-authenticate")).toBe("Bearer")
  }
})

test("each algorithm that can be configured is the only one that is taken", async () => {
  const all = ["HS256", "HS384", "HS512"]
  for (const alg of all.slice(1)) {
    await using strict = await startApp({ ALGORITHM: alg })
    expect((await (await strict.account()).get("/todos")).status).toBe(200)
    for (const sent of all) {
      const { status } = await strict
        .withToken(signToken({ sub, exp }, { alg: sent }))
        .get("/todos")
      expect(status).toBe(sent === alg ? 200 : 401)
    }
  }
})

test("our tokens have the claims sub, iat, exp and jti", async () => {
  const ada = await app.account()
  const claims = claimsOf(ada.token)
  expect(Object.keys(claims).sort()).toEqual(["exp", "iat", "jti", "sub"])
  expect(claims["sub"]).toBe(String(ada.id))
  expect(Number(claims["exp"]) - Number(claims["iat"])).toBe(30 * 60)
})

test("a user whom another system's token names is created by the first write", async () => {
  const ada = app.withToken(tokenFor(4711))
  expect((await ada.get("/todos")).body).toEqual([])
  expect((await ada.post("/todos", { title: "milk" })).status).toBe(201)
  expect((await ada.get("/users/me")).body).toMatchObject({ id: 4711, email: null })
})

test("twenty first requests of one user whom we never saw all work", async () => {
  const ada = app.withToken(tokenFor(4712))
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      i % 2 ? ada.post("/todos", { title: String(i) }) : ada.get("/users/me"),
    ),
  )
  expect(answers.map(({ status }) => status)).toEqual(answers.map((_, i) => (i % 2 ? 201 : 200)))
})

test("a registration never gets an id that another system's token named before", async () => {
  const { id } = await app.account()
  const next = id + 1
  // It reads and writes nothing: being seen is enough.
  expect((await app.withToken(tokenFor(next)).get("/todos")).status).toBe(200)
  const registered = await Promise.all([app.account(), app.account(), app.account()])
  expect(registered.map((user) => user.id)).not.toContain(next)
})

const start = () => startTokenInstance(app.databaseUrl)

test("a token that was seen before costs no statement, whether it is good or bad", async () => {
  using _ = setClock()
  await using instance = start()
  const good = tokenFor(1)
  expect(await instance.statementsFor(good)).toBe(1)
  expect(await instance.statementsFor(good, 1_000)).toBe(0)
  expect(await instance.statementsFor("bad", 1_000)).toBe(0)
})

test("a personal token that was seen before costs no statement, and its uses are written together", async () => {
  using clock = setClock()
  await using instance = start()
  const ada = await app.user()
  const wanted = { name: "script", scopes: ["todos:read"] }
  const { token } = (await ada.post("/users/me/tokens", wanted)).body as { token: string }
  // Which only reads: its use is noted later.
  expect(await instance.statementsFor(token)).toBe(1)
  expect(await instance.statementsFor(token, 1_000)).toBe(0)
  clock.advance(61)
  await instance.poll()
  expect(await instance.statementsFor(token, 1_000)).toBe(0)
  await sql`update personal_tokens set last_used_at = now() - interval '1 hour'`
  const before = Date.now()
  await instance.tokens.lastUses.flush()
  const { statements } = instance.state
  await instance.tokens.lastUses.flush()
  expect(instance.state.statements).toBe(statements)
  const [used] = (await ada.get("/users/me/tokens")).body as { last_used_at: string }[]
  expect(isUseSince(before, used?.last_used_at)).toBe(true)
})

test("an instance that cannot follow revocations asks again within 5 s, or lets nobody in", async () => {
  using clock = setClock()
  await using instance = start()
  const token = tokenFor(1)
  const end = await instance.tokens.pollRevocations()
  await instance.statementsFor(token)
  clock.advance(3)
  expect(await instance.statementsFor(token)).toBe(0)
  await end()
  clock.advance(4.5)
  expect(await instance.statementsFor(token)).toBe(1)
  expect(await instance.statementsFor(token)).toBe(0)
  instance.state.isAway = true
  expect(await instance.statementsFor(token)).toBe(0)
  clock.advance(4.5)
  await expect(instance.statementsFor(token)).rejects.toThrow("The database is away")
})

test("a cache holds no more than its limit, and keeps what is in use", () => {
  const cache = createCache<number>(100)
  cache.set("in use", -1)
  for (let i = 0; i < 10_000; i++) {
    cache.set(String(i), i)
    expect(cache.get("in use")).toBe(-1)
    expect(cache.size).toBeLessThanOrEqual(100)
  }
  expect(cache.get("0")).toBeUndefined()
})
