/** SECRET_KEY_PREVIOUS: a new secret, with which everybody stays logged in. */
import { expect, test } from "bun:test"
import { startApp } from "../../support/app.ts"
import { runCommand } from "../../support/command.ts"
import { isSignedBy, refresh, works } from "../../support/signed.ts"
import { temporaryDirectory } from "../../support/temporary.ts"
import { secondsFromNow, signToken } from "../../support/tokens.ts"

const OLD = "the old secret, of more than thirty-two bytes"
const NEW = "the new secret, of more than thirty-two bytes"

const nextPage = ({ headers }: { headers: Headers }) =>
  (headers.get("link") ?? "").match(/<\/api\/v1(.*)>/)?.[1] ?? ""

test("what the previous secret signed stays good: access and refresh tokens, cursors, other systems' tokens", async () => {
  await using before = await startApp({ SECRET_KEY: OLD })
  const ada = await before.account()
  for (const title of ["a", "b", "c"]) await ada.post("/todos", { title })
  const page = await ada.get("/todos?limit=1")
  const foreign = signToken({ sub: "17", exp: secondsFromNow(600) }, {}, OLD)

  await using after = await startApp({
    SECRET_KEY: NEW,
    SECRET_KEY_PREVIOUS: OLD,
    DATABASE_URL: before.databaseUrl,
  })
  for (const token of [ada.token, foreign]) expect(await works(token, after)).toBe(true)
  const second = await after.withToken(ada.token).get(nextPage(page))
  expect(second.status).toBe(200)
  expect(second.body).toMatchObject([{ title: "b" }])
  const fresh = await refresh(after, ada.refreshToken)
  expect(fresh.status).toBe(200)
  expect(await works(fresh.access_token, after)).toBe(true)
})

test("the previous secret never signs", async () => {
  await using app = await startApp({ SECRET_KEY: NEW, SECRET_KEY_PREVIOUS: OLD })
  const ada = await app.account()
  expect(isSignedBy(ada.token, NEW)).toBe(true)
  expect(isSignedBy((await refresh(app, ada.refreshToken)).access_token, NEW)).toBe(true)
  for (const title of ["a", "b"]) await ada.post("/todos", { title })
  const page = await ada.get("/todos?limit=1")
  await using alone = await startApp({ SECRET_KEY: NEW, DATABASE_URL: app.databaseUrl })
  expect((await alone.withToken(ada.token).get(nextPage(page))).status).toBe(200)
})

test("a secret that is neither the current nor the previous one is refused", async () => {
  await using app = await startApp({ SECRET_KEY: NEW, SECRET_KEY_PREVIOUS: OLD })
  const claims = { sub: "1", exp: secondsFromNow(600) }
  expect(await works(signToken(claims, {}, OLD), app)).toBe(true)
  expect(await works(signToken(claims, {}, `${OLD}.`), app)).toBe(false)
  expect(await works(signToken(claims, { alg: "HS512" }, OLD), app)).toBe(false)
  await using dropped = await startApp({ SECRET_KEY: NEW, DATABASE_URL: app.databaseUrl })
  expect(await works(signToken(claims, {}, OLD), dropped)).toBe(false)
})

test("an instance that accepts the new secret, and does not sign with it yet, works beside one that signs", async () => {
  await using first = await startApp({ SECRET_KEY: OLD, SECRET_KEY_PREVIOUS: NEW })
  await using second = await startApp({
    SECRET_KEY: NEW,
    SECRET_KEY_PREVIOUS: OLD,
    DATABASE_URL: first.databaseUrl,
  })
  const ada = await second.account()
  expect(isSignedBy(ada.token, NEW)).toBe(true)
  expect(await works(ada.token, first)).toBe(true)
  const there = await refresh(first, ada.refreshToken)
  expect(isSignedBy(there.access_token, OLD)).toBe(true)
  expect(await works(there.access_token, second)).toBe(true)
})

test("rotate-key says how a configured secret is changed, and when there is no key", async () => {
  using directory = temporaryDirectory()
  const DATA_DIR = directory.path
  const external = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/nothing", SECRET_KEY: OLD }
  for (const env of [external, { SECRET_KEY: OLD, DATA_DIR }]) {
    const { code, out, err } = await runCommand(["rotate-key"], env)
    expect([code, out]).toEqual([78, ""])
    expect(err).toContain("SECRET_KEY_PREVIOUS=NEW")
    expect(err).not.toContain(OLD)
  }
  const { code, err } = await runCommand(["rotate-key"], { DATA_DIR })
  expect(code).toBe(78)
  expect(err).toContain("no generated key")
  expect((await runCommand(["rotate-key", "now"], { DATA_DIR })).code).toBe(64)
})
