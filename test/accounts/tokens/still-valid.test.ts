/** Whether a caller's token is still valid, which responses that take long ask before each part. */
import { afterAll, expect, setSystemTime, test } from "bun:test"
import { setDisabled } from "../../../src/accounts/admin.ts"
import { connect } from "../../../src/database/connect.ts"
import { clockTest, setClock } from "../../support/clock.ts"
import { createKey, startIssuer } from "../../support/issuer.ts"
import { shareApp } from "../../support/shared-app.ts"
import { startTokenInstance } from "../../support/token-instance.ts"
import { secondsFromNow, tokenFor } from "../../support/tokens.ts"

const key = createKey()
const issuer = startIssuer(key)
const { app, account } = await shareApp(issuer.settings)

type Account = Awaited<ReturnType<typeof account>>

const startInstance = () => startTokenInstance(app.databaseUrl, issuer.settings)

const personalToken = async (ada: Account) => {
  const wanted = { name: "script", scopes: ["todos:read"] }
  return (await ada.post("/users/me/tokens", wanted)).body as { id: string; token: string }
}

const changePassword = (ada: Account) =>
  ada.put("/users/me/password", {
    current_password: ada.password,
    new_password: "tractor beige lagoon",
  })

const operator = connect(app.databaseUrl, 1)
afterAll(() => operator.end())
const disable = ({ id }: Account) => setDisabled(operator, id, true)

const federated = () => key.sign(issuer.claims(crypto.randomUUID()))

test("each kind of token is valid until it is revoked in one of its ways", async () => {
  await using instance = startInstance()
  const ways: [string, (ada: Account) => Promise<{ token: string; revoke: () => unknown }>][] = [
    ["logout", async (ada) => ({ token: ada.token, revoke: () => ada.post("/auth/logout") })],
    ["password", async (ada) => ({ token: ada.token, revoke: () => changePassword(ada) })],
    ["deletion", async (ada) => ({ token: ada.token, revoke: () => ada.delete("/users/me") })],
    ["disabling", async (ada) => ({ token: ada.token, revoke: () => disable(ada) })],
    [
      "a foreign-signed token's logout",
      async () => {
        const bob = await app.user()
        return { token: bob.token, revoke: () => bob.post("/auth/logout") }
      },
    ],
    [
      "a foreign-signed token of before the password change",
      async (ada) => ({
        token: tokenFor(ada.id, { iat: secondsFromNow(-5) }),
        revoke: () => changePassword(ada),
      }),
    ],
    [
      "a federated token's logout",
      async () => {
        const bob = app.withToken(federated())
        return { token: bob.token, revoke: () => bob.post("/auth/logout") }
      },
    ],
    [
      "a personal token's end",
      async (ada) => {
        const { id, token } = await personalToken(ada)
        return { token, revoke: () => ada.delete(`/users/me/tokens/${id}`) }
      },
    ],
    [
      "a personal token of a user who is disabled",
      async (ada) => ({
        token: (await personalToken(ada)).token,
        revoke: () => disable(ada),
      }),
    ],
  ]
  for (const [way, prepare] of ways) {
    const { token, revoke } = await prepare(await account())
    const caller = await instance.caller(token)
    await instance.poll()
    expect(await caller.isStillValid(), way).toBe(true)
    await revoke()
    await instance.poll()
    expect(await caller.isStillValid(), way).toBe(false)
  }
})

test("to ask takes no statement, however often", async () => {
  using _ = setClock()
  await using instance = startInstance()
  const caller = await instance.caller(tokenFor(1))
  await instance.poll()
  const before = instance.state.statements
  for (let i = 0; i < 1_000; i++) expect(caller.isStillValid()).toBe(true)
  expect(instance.state.statements).toBe(before)
})

/** The time of day, by which tokens expire, as if it were so many seconds before or after that. */
const setTime = (seconds: number, offset: number) => {
  setSystemTime(new Date(seconds * 1000 + offset))
  return { [Symbol.dispose]: () => void setSystemTime() }
}

/** Until it expires, and not longer. */
const expectExpiry = async (
  caller: { isStillValid(): boolean | Promise<boolean> },
  exp: number,
) => {
  {
    using _ = setTime(exp, -1)
    expect(await caller.isStillValid()).toBe(true)
  }
  using _ = setTime(exp, 0)
  expect(await caller.isStillValid()).toBe(false)
}

test("a token that expires is no longer valid", async () => {
  await using instance = startInstance()
  const exp = secondsFromNow(600)
  await expectExpiry(await instance.caller(tokenFor(1, { exp })), exp)
})

clockTest("a revocation is known however long nobody asked", async () => {
  await using instance = startInstance()
  const [asked, silent] = await Promise.all([account(), account()])
  using clock = setClock()
  const callers = await Promise.all([asked, silent].map(({ token }) => instance.caller(token)))
  await instance.poll()
  await asked.post("/auth/logout")
  // Nothing was polled meanwhile: the question itself has to.
  clock.advance(20)
  expect(await callers[0]?.isStillValid()).toBe(false)
  await silent.post("/auth/logout")
  await instance.poll()
  // By now the instance has forgotten what it polled.
  clock.advance(90)
  await instance.poll()
  expect(await callers[1]?.isStillValid()).toBe(false)
})

clockTest("while the database is away, nothing ends but what has expired", async () => {
  await using instance = startInstance()
  using clock = setClock()
  const exp = secondsFromNow(600)
  const caller = await instance.caller(tokenFor(1, { exp }))
  instance.state.isAway = true
  clock.advance(90)
  await expectExpiry(caller, exp)
})

test("while the database is away, what is revoked here is known nevertheless", async () => {
  await using instance = startInstance()
  const caller = await instance.caller(tokenFor(1))
  instance.state.isAway = true
  instance.tokens.revoke(["user:2"])
  expect(await caller.isStillValid()).toBe(true)
  instance.tokens.revoke(["user:1"])
  expect(await caller.isStillValid()).toBe(false)
})

clockTest("a federated token whose key is withdrawn is valid for five minutes more", async () => {
  const other = createKey()
  issuer.publish(key, other)
  await using instance = startInstance()
  using clock = setClock()
  const caller = await instance.caller(other.sign(issuer.claims("grace")))
  issuer.publish(key)
  clock.advance(240)
  expect(await caller.isStillValid()).toBe(true)
  clock.advance(121)
  expect(await caller.isStillValid()).toBe(false)
})
