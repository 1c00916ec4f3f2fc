/** Federated users: an issuer's tokens and its keys. */
import { expect, test } from "bun:test"
import { type App, startApp } from "../../support/app.ts"
import { clockTest, setClock } from "../../support/clock.ts"
import { algorithms, createKey, startIssuer } from "../../support/issuer.ts"
import { shareApp } from "../../support/shared-app.ts"
import { openSql } from "../../support/sql.ts"
import { secondsFromNow, signToken, tokenFor } from "../../support/tokens.ts"

const keys = algorithms.map((alg) => createKey(alg))
const [key = createKey()] = keys
const issuer = startIssuer(...keys)
const { app } = await shareApp(issuer.settings)

const get = (token: string, at: App = app) => at.withToken(token).get("/users/me")
const statusOf = async (token: string, at: App = app) => (await get(token, at)).status
const idOf = async (token: string, at: App = app) => ((await get(token, at)).body as User).id
type User = { id: number }

/** An issuer and an instance of their own, for what would get in the way of other tests. */
const setUp = async (...published: (typeof key)[]) => {
  const theirs = startIssuer(...published)
  const ours = await startApp(theirs.settings)
  return {
    theirs,
    ours,
    token: (sub: string, by: typeof key) => by.sign(theirs.claims(sub)),
    async [Symbol.asyncDispose]() {
      await ours[Symbol.asyncDispose]()
      await theirs[Symbol.asyncDispose]()
    },
  }
}

algorithms.forEach((alg, i) => {
  test(`a token that the issuer signed with ${alg} works`, async () => {
    const ada = app.withToken((keys[i] ?? key).sign(issuer.claims("ada")))
    expect((await ada.post("/todos", { title: alg })).status).toBe(201)
    expect((await ada.get("/users/me")).body).toMatchObject({ email: null })
  })
})

test("a subject is the same user by every token, and other subjects are others", async () => {
  const ids = await Promise.all(keys.map((by) => idOf(by.sign(issuer.claims("grace")))))
  expect(new Set(ids).size).toBe(1)
  expect(await idOf(key.sign(issuer.claims("Grace")))).not.toBe(ids[0] ?? 0)
})

test("twenty concurrent first requests of a federated user make one user", async () => {
  const sql = openSql(app.databaseUrl)
  const users = async () => (await sql`select from users`).length
  const before = await users()
  const tokens = Array.from({ length: 20 }, (_, jti) =>
    key.sign(issuer.claims("hedy", { jti: String(jti) })),
  )
  const ids = await Promise.all(tokens.map((token) => idOf(token)))
  expect(new Set(ids).size).toBe(1)
  expect(await users()).toBe(before + 1)
  await sql.end()
})

test("two instances know a federated user by the same id", async () => {
  await using other = await startApp({ ...issuer.settings, DATABASE_URL: app.databaseUrl })
  const token = key.sign(issuer.claims("radia"))
  const ids = await Promise.all([idOf(token), idOf(token, other), idOf(token), idOf(token, other)])
  expect(new Set(ids).size).toBe(1)
})

test("what the issuer signed for another purpose lets nobody in", async () => {
  for (const claims of [
    { nonce: "n-0S6_WzA2Mj" },
    { nonce: "" },
    { at_hash: "77QmUPtjPfzWtF2AnpK9RQ" },
  ])
    expect(await statusOf(key.sign(issuer.claims("ada", claims)))).toBe(401)
  for (const typ of ["logout+jwt", "Logout+JWT", "application/logout+jwt"])
    expect(await statusOf(key.sign(issuer.claims("ada"), { typ }))).toBe(401)
  for (const typ of ["JWT", "at+jwt", undefined, 5])
    expect(await statusOf(key.sign(issuer.claims("ada"), { typ }))).toBe(200)
})

test("a subject is any text of 1 to 255 characters, and nothing else", async () => {
  for (const sub of ["1", "auth0|5f7c", "x".repeat(255), "🦉".repeat(255), "' or 1=1 --"])
    expect(await statusOf(key.sign(issuer.claims(sub)))).toBe(200)
  for (const sub of ["", "x".repeat(256), "nul\0", "\ud800", 1, null, ["ada"], undefined])
    expect(await statusOf(key.sign(issuer.claims(sub)))).toBe(401)
})

test("a subject that looks like a user id is not that user", async () => {
  const ada = await app.user()
  expect(await idOf(key.sign(issuer.claims(String(ada.id))))).not.toBe(ada.id)
})

test("nobody signs for the issuer but the issuer", async () => {
  const stranger = createKey("EdDSA", key.kid)
  const claims = issuer.claims("ada")
  const [rsa = key] = keys.filter(({ jwk }) => jwk["alg"] === "RS256")
  const pem = String(rsa.publicKey.export({ format: "pem", type: "spki" }))
  const forged = [
    stranger.sign(claims),
    stranger.sign(claims, { jwk: stranger.jwk }),
    stranger.sign(claims, { jku: "http://127.0.0.1:1/" }),
    signToken(claims),
    signToken(claims, { kid: rsa.kid }, pem),
    signToken(claims, { kid: rsa.kid, alg: "HS512" }, pem),
    signToken(claims, { kid: rsa.kid }, JSON.stringify(rsa.jwk)),
    signToken(claims, { kid: rsa.kid, alg: "none" }).replace(/[^.]+$/, ""),
    key.sign(claims, { alg: "RS256" }),
    key.sign(claims, { crit: ["x"], x: 1 }),
    key.sign(claims).replace(/\.[^.]+\./, `.${rsa.sign(claims).split(".")[1]}x.`),
  ]
  for (const token of forged) expect(await statusOf(token)).toBe(401)
})

test("the issuer's keys sign nothing but tokens with its own iss", async () => {
  const { iss: _, ...claims } = issuer.claims("1")
  for (const iss of [undefined, null, "", `${issuer.url}/`, "https://example.org", [issuer.url]])
    expect(await statusOf(key.sign({ ...claims, iss }))).toBe(401)
})

test("a token of ours still works beside those of the issuer", async () => {
  const ada = await app.account()
  expect(await statusOf(ada.token)).toBe(200)
  expect(await statusOf(tokenFor(4711))).toBe(200)
})

test("a token of the issuer is verified by its times like one of ours", async () => {
  const now = secondsFromNow(0)
  const expired = await get(key.sign(issuer.claims("ada", { exp: now - 1 })))
  expect(expired.status).toBe(401)
  expect(expired.text).toContain("expired")
  for (const claims of [{ exp: undefined }, { exp: "1" }, { nbf: now + 60 }, { iat: now + 60 }])
    expect(await statusOf(key.sign(issuer.claims("ada", claims)))).toBe(401)
  expect(await statusOf(key.sign(issuer.claims("ada", { iat: now + 3, nbf: now + 3 })))).toBe(200)
})

test("aud counts where JWT_AUDIENCE is set, and only there", async () => {
  await using strict = await startApp({ ...issuer.settings, JWT_AUDIENCE: "todos" })
  for (const aud of ["todos", ["others", "todos"]])
    expect(await statusOf(key.sign(issuer.claims("ada", { aud })), strict)).toBe(200)
  for (const aud of ["others", [], undefined, 1]) {
    const token = key.sign(issuer.claims("ada", { aud }))
    expect(await statusOf(token, strict)).toBe(401)
    if (aud !== 1) expect(await statusOf(token)).toBe(200)
  }
})

test("without a kid every key of the type is tried", async () => {
  const [first, second] = [createKey(), createKey()]
  await using it = await setUp(first, second)
  for (const by of [first, second])
    expect(await statusOf(by.sign(it.theirs.claims("ada"), { kid: undefined }), it.ours)).toBe(200)
  const stranger = createKey().sign(it.theirs.claims("ada"), { kid: undefined })
  expect(await statusOf(stranger, it.ours)).toBe(401)
  expect(it.theirs.fetches).toBe(1)
})

test("a rotated key works without a restart", async () => {
  const [before, after] = [createKey(), createKey()]
  await using it = await setUp(before)
  expect(await statusOf(it.token("ada", before), it.ours)).toBe(200)
  it.theirs.publish(after)
  const tokens = Array.from({ length: 20 }, (_, i) => it.token(String(i), after))
  const statuses = await Promise.all(tokens.map((token) => statusOf(token, it.ours)))
  expect(statuses).toEqual(tokens.map(() => 200))
  expect(it.theirs.fetches).toBe(2)
})

test("a hundred tokens with unknown kids cause one fetch", async () => {
  await using it = await setUp(key)
  const flood = () =>
    Promise.all(Array.from({ length: 100 }, () => statusOf(it.token("ada", createKey()), it.ours)))
  expect(new Set(await flood())).toEqual(new Set([401]))
  expect(it.theirs.fetches).toBe(1)
  expect(await statusOf(it.token("ada", key), it.ours)).toBe(200)
  await flood()
  expect(it.theirs.fetches).toBe(1)
})

clockTest("an issuer is asked about an unknown kid again after 30 s", async () => {
  using clock = setClock()
  await using it = await setUp(key)
  const rotated = createKey()
  const fetchesFor = async (by: typeof key) => [
    await statusOf(it.token("ada", by), it.ours),
    it.theirs.fetches,
  ]
  expect(await fetchesFor(rotated)).toEqual([401, 1])
  it.theirs.publish(rotated)
  clock.advance(29)
  expect(await fetchesFor(rotated)).toEqual([401, 1])
  clock.advance(1)
  expect(await fetchesFor(rotated)).toEqual([200, 2])
})

clockTest(
  "keys are fetched anew after 5 minutes, and outlive them while the issuer is down",
  async () => {
    using clock = setClock()
    await using it = await setUp(key)
    const fetchesFor = async (sub: string) => {
      expect(await statusOf(it.token(sub, key), it.ours)).toBe(200)
      return it.theirs.fetches
    }
    expect(await fetchesFor("ada")).toBe(1)
    clock.advance(4 * 60)
    expect(await fetchesFor("bob")).toBe(1)
    clock.advance(61)
    expect(await fetchesFor("eve")).toBe(2)
    it.theirs.misbehave(() => new Response("down", { status: 500 }))
    clock.advance(301)
    expect(await fetchesFor("dan")).toBe(3)
    expect(await fetchesFor("fay")).toBe(3)
    clock.advance(3_600)
    expect(await fetchesFor("gus")).toBe(4)
  },
)

clockTest(
  "once a key is withdrawn, tokens that it signed are refused, those in use too",
  async () => {
    using clock = setClock()
    await using it = await setUp(key)
    const token = it.token("ada", key)
    expect(await statusOf(token, it.ours)).toBe(200)
    it.theirs.publish(createKey())
    clock.advance(301)
    expect(await statusOf(token, it.ours)).toBe(401)
  },
)

clockTest(
  "keys that are known survive an issuer that is down, and unknown ones are 503",
  async () => {
    using clock = setClock()
    await using it = await setUp(key)
    expect(await statusOf(it.token("ada", key), it.ours)).toBe(200)
    it.theirs.misbehave(() => new Response("down", { status: 500 }))
    const rotated = createKey()
    const unknown = await get(it.token("ada", rotated), it.ours)
    expect(unknown.status).toBe(503)
    expect(unknown.body).toMatchObject({ error_code: "SERVICE_UNAVAILABLE" })
    expect(Number(unknown.headers.get("retry-after"))).toBeGreaterThan(0)
    expect(await statusOf(it.token("grace", key), it.ours)).toBe(200)
    // Once a second while it fails, whatever the load.
    const fetches = it.theirs.fetches
    await Promise.all(Array.from({ length: 50 }, () => statusOf(it.token("ada", rotated), it.ours)))
    expect(it.theirs.fetches).toBe(fetches)
    it.theirs.publish(rotated)
    clock.advance(1)
    expect(await statusOf(it.token("ada", rotated), it.ours)).toBe(200)
  },
)

test("an issuer that has no usable answer makes its tokens 503, never 401 or 200", async () => {
  const keySet = JSON.stringify({ keys: [key.jwk] })
  await using elsewhere = startIssuer(key)
  const answers: (() => Response | Promise<Response>)[] = [
    () => new Response(keySet, { status: 500 }),
    () => new Response(keySet, { status: 404 }),
    () => new Response(`${keySet}${" ".repeat(10_000_000)}`),
    () => Response.redirect(`${elsewhere.url}/jwks`, 302),
    () => new Response("<html>"),
    () => Response.json({ keys: "none" }),
    () => Response.json(null),
    // Neither an answer that never begins nor one that never ends holds a request for ever.
    () => new Promise(() => {}),
    () => new Response(new ReadableStream({ start: (stream) => stream.enqueue("{") })),
  ]
  const statuses = answers.map(async (answer) => {
    await using it = await setUp(key)
    it.theirs.misbehave(answer)
    const ada = await it.ours.user()
    const [status, own] = await Promise.all([
      statusOf(it.token("ada", key), it.ours),
      statusOf(ada.token, it.ours),
    ])
    expect(own).toBe(200)
    return status
  })
  expect(await Promise.all(statuses)).toEqual(answers.map(() => 503))
  expect(elsewhere.fetches).toBe(0)
})

test("a key that is no public key for signatures is not used", async () => {
  const secret = "a secret that somebody published among the keys, by mistake"
  const oct = { kty: "oct", kid: "oct", alg: "HS256", k: Buffer.from(secret).toString("base64url") }
  await using it = await setUp(key)
  it.theirs.misbehave(() => Response.json({ keys: [oct, { ...key.jwk, use: "enc" }] }))
  const forged = signToken(it.theirs.claims("ada"), { kid: "oct" }, secret)
  expect(await statusOf(forged, it.ours)).toBe(401)
  expect(await statusOf(it.token("ada", key), it.ours)).toBe(401)
})

test("a logout ends one token of the issuer, and a deleted user stays deleted", async () => {
  const token = (jti: string) => key.sign(issuer.claims("joan", { jti }))
  // Made once: a second later it would be another one.
  const first = token("1")
  expect((await app.withToken(first).post("/auth/logout")).status).toBe(204)
  expect(await statusOf(first)).toBe(401)
  expect(await statusOf(token("2"))).toBe(200)
  expect((await app.withToken(token("2")).delete("/users/me")).status).toBe(204)
  expect(await statusOf(token("3"))).toBe(401)
  expect((await app.withToken(token("4")).post("/todos", { title: "milk" })).status).toBe(401)
})

test("without a configured issuer its tokens are refused, and nobody is asked", async () => {
  await using closed = await startApp()
  const fetches = issuer.fetches
  expect(await statusOf(key.sign(issuer.claims("ada")), closed)).toBe(401)
  expect(issuer.fetches).toBe(fetches)
})
