/** A user whom the operator shuts out, and lets in again. */
import { afterAll, expect, test } from "bun:test"
import { setDisabled } from "../../src/accounts/admin.ts"
import { connect } from "../../src/database/connect.ts"
import { startApp } from "../support/app.ts"
import { userCommand } from "../support/commands.ts"
import { within5s } from "../support/sessions.ts"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

const { app, account } = await shareApp()
const other = await startApp({ DATABASE_URL: app.databaseUrl })
afterAll(() => other.stop())

/** As `todo-api user disable` and `enable` do, in a tenth of the time. */
const operator = connect(app.databaseUrl, 1)
afterAll(() => operator.end())
const disable = ({ id }: { id: number }) => setDisabled(operator, id, true)
const enable = ({ id }: { id: number }) => setDisabled(operator, id, false)

/** Within the five seconds that are promised, everywhere. */
const untilStatus = async (status: number, token: string) => {
  const statusAt = async (at: typeof app) => (await at.withToken(token).get("/users/me")).status
  for (const at of [app, other])
    expect(await within5s(async () => (await statusAt(at)) === status)).toBe(true)
}

const refresh = (refresh_token: string) =>
  app.call("POST", "/api/v1/auth/refresh", { body: { refresh_token } })

test.concurrent("a disabled user's tokens and logins are refused everywhere, and an enabled one's are not", async () => {
  const ada = await account()
  await untilStatus(200, ada.token)
  const wrong = await app.logIn({ ...ada, password: "wrong" })
  for (let round = 0; round < 2; round++) {
    await disable(ada)
    expect(await app.logIn(ada)).toMatchObject({ status: wrong.status })
    expect((await refresh(ada.refreshToken)).status).toBe(401)
    await untilStatus(401, ada.token)
    const answer = await ada.get("/users/me")
    expect(answer.body).toMatchObject({ error_code: "UNAUTHORIZED" })
    expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"')
    await enable(ada)
    await untilStatus(200, ada.token)
    expect((await app.logIn(ada)).status).toBe(200)
  }
  expect((await refresh(ada.refreshToken)).status).toBe(200)
})

test.concurrent("a token that was never seen before is refused at once while its user is disabled", async () => {
  const ada = await account()
  await disable(ada)
  const token = tokenFor(ada.id)
  for (const instance of [app, other, app])
    expect((await instance.withToken(token).get("/users/me")).status).toBe(401)
  await enable(ada)
  await untilStatus(200, token)
})

test.concurrent("a disabled user's personal tokens are refused, and good again when they are enabled", async () => {
  const ada = await account()
  const made = await ada.post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
  const { token } = made.body as { token: string }
  const untilTodos = async (status: number) => {
    const statusAt = async (at: typeof app) => (await at.withToken(token).get("/todos")).status
    for (const at of [app, other])
      expect(await within5s(async () => (await statusAt(at)) === status)).toBe(true)
  }
  await untilTodos(200)
  await disable(ada)
  await untilTodos(401)
  await enable(ada)
  await untilTodos(200)
})

test.concurrent("a federated user is disabled by their id", async () => {
  const outside = await app.user()
  await userCommand(app.databaseUrl, "disable", String(outside.id))
  await untilStatus(401, outside.token)
  await userCommand(app.databaseUrl, "enable", String(outside.id))
  await untilStatus(200, outside.token)
})

test.concurrent("disabling ends nobody else's session, and deletes nothing", async () => {
  const [ada, bob] = [await account(), await account()]
  expect((await ada.post("/todos", { title: "kept" })).status).toBe(201)
  await disable(ada)
  await untilStatus(401, ada.token)
  expect((await bob.get("/users/me")).status).toBe(200)
  await enable(ada)
  await untilStatus(200, ada.token)
  expect((await ada.get("/todos")).body).toMatchObject([{ title: "kept" }])
})

test.concurrent("a session that a revocation ended stays ended when its user is enabled", async () => {
  const ada = await account()
  await disable(ada)
  await untilStatus(401, ada.token)
  await enable(ada)
  await untilStatus(200, ada.token)
  expect((await ada.post("/auth/logout")).status).toBe(204)
  await disable(ada)
  await enable(ada)
  await untilStatus(401, ada.token)
  expect((await ada.get("/users/me")).status).toBe(401)
})
