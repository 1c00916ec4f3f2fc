/** The client's calls, against the service: `todo-api/client` but for the replica. */
import { expect, test } from "bun:test"
import { createClientOn } from "../../src/client/client.ts"
import { ApiError, createClient, memoryStorage } from "../../src/client/index.ts"
import { type Platform, platform } from "../../src/client/platform.ts"
import { insertCredentials } from "../support/accounts.ts"
import type { App } from "../support/app.ts"
import { expireToken } from "../support/live.ts"
import { problem } from "../support/portal.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()

type Fetch = Platform["fetch"]
const password = "correct horse"
let users = 0
const newAccount = () => ({ email: `client-${++users}@example.org`, password })
const registered = () => insertCredentials(sql)

/** Hurries, and lets the test stand in the way of requests. */
const through = (app: App, intercept: (fetch: Fetch) => Fetch, storage = memoryStorage()) => {
  const slept: number[] = []
  const on: Platform = {
    ...platform,
    fetch: intercept(platform.fetch),
    sleep: (milliseconds, signal) => {
      // What has a signal is a limit, not a pause.
      if (signal) return platform.sleep(milliseconds, signal)
      slept.push(milliseconds)
      return platform.sleep(1)
    },
  }
  return { ...createClientOn(on, { url: app.url, storage }), slept }
}

const failing = async (promise: Promise<unknown>): Promise<ApiError> => {
  try {
    await promise
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
  throw new Error("It went well")
}

/** The request is made, and its answer does not arrive; `times` times. */
const losingAnswers =
  (times: number, to: (method: string, url: string) => boolean) =>
  (fetch: Fetch): Fetch =>
  async (url, init) => {
    const response = await fetch(url, init)
    if (to(init.method ?? "", url) && times-- > 0) throw new TypeError("lost")
    return response
  }

test("it registers, logs in, and makes every call with its types", async () => {
  const client = createClient({ url: `${app.url}/`, storage: memoryStorage() })
  const account = newAccount()
  const user = await client.register(account)
  expect(user.email).toBe(account.email)
  expect(await client.user()).toEqual(user)

  const { todo, etag } = await client.todos.create({ title: "Buy milk" })
  const updated = await client.todos.update(todo.id, { is_completed: true }, { if_match: etag })
  expect(updated.todo).toMatchObject({ title: "Buy milk", is_completed: true })
  expect(await client.todos.get(todo.id)).toEqual(updated)
  expect(await client.todos.list({ is_completed: true })).toEqual([updated.todo])
  const me = await client.call("get", "/api/v1/users/me")
  expect(me.data satisfies { id: number; email: string | null }).toEqual(user)
  await client.todos.delete(todo.id)
  expect(await client.todos.list()).toEqual([])

  await client.logOut()
  expect(await client.user()).toBeUndefined()
  expect((await failing(client.todos.list())).error_code).toBe("UNAUTHORIZED")
})

test("a changed password goes on with the session that it gives", async () => {
  const client = createClient({ url: app.url, storage: memoryStorage() })
  await client.logIn(await registered())
  await client.changePassword({ current_password: password, new_password: "battery staple" })
  expect(await client.todos.list()).toEqual([])
})

test("a changed password keeps its session where the caller leaves after the answer", async () => {
  const leaving = new AbortController()
  let isChanged = false
  const client = through(app, (fetch) => async (url, init) => {
    if (isChanged) leaving.abort(new Error("left"))
    const response = await fetch(url, init)
    isChanged ||= url.endsWith("/password")
    return response
  })
  await client.logIn(await registered())
  const { signal } = leaving
  const change = { current_password: password, new_password: "battery staple" }
  await client.changePassword(change, { signal })
  expect(await client.todos.list()).toEqual([])
})

test("errors are of one class, and narrowed by error_code", async () => {
  const client = createClient({ url: app.url, storage: memoryStorage() })
  const account = newAccount()
  await client.register(account)
  const refused = await failing(client.todos.create({ title: "" }))
  if (refused.error_code !== "BAD_REQUEST") throw refused
  expect(refused.errors.map(({ pointer }) => pointer)).toEqual(["/title"])
  expect(refused.status).toBe(400)
  expect((await failing(client.register(account))).error_code).toBe("EMAIL_TAKEN")
  const { todo } = await client.todos.create({ title: "Buy milk" })
  const stale = await failing(client.todos.delete(todo.id, { if_match: '"99"' }))
  expect(stale.error_code).toBe("PRECONDITION_FAILED")
  expect((await failing(client.logIn({ ...account, password: "wrong horse" }))).error_code).toBe(
    "INVALID_CREDENTIALS",
  )
})

test("what is no answer of the service is told apart", async () => {
  const portal = through(app, () => async () => new Response("<html>", { status: 200 }))
  expect((await failing(portal.logIn(newAccount()))).error_code).toBe("UNEXPECTED_ANSWER")
  const proxy = through(app, () => async () => new Response("<html>", { status: 502 }))
  expect(await failing(proxy.logIn(newAccount()))).toMatchObject({
    error_code: "UNEXPECTED_ANSWER",
    status: 502,
  })
  const cut = through(app, () => async () => Promise.reject(new TypeError("no route")))
  expect((await failing(cut.logIn(newAccount()))).error_code).toBe("NETWORK_ERROR")
})

test("two tabs with ten requests each refresh once", async () => {
  let refreshes = 0
  const counting =
    (fetch: Fetch): Fetch =>
    (url, init) => {
      if (url.endsWith("/auth/refresh")) refreshes++
      return fetch(url, init)
    }
  const storage = memoryStorage()
  const tabs = [through(app, counting, storage), through(app, counting, storage)]
  await tabs[0]?.logIn(await registered())
  await expireToken(storage)
  const answers = tabs.flatMap((tab) => Array.from({ length: 10 }, () => tab.todos.list()))
  expect((await Promise.all(answers)).length).toBe(20)
  expect(refreshes).toBe(1)
})

test("a refresh whose answer got lost is repeated, and the session lives on", async () => {
  const storage = memoryStorage()
  const client = through(
    app,
    losingAnswers(1, (_, url) => url.endsWith("/auth/refresh")),
    storage,
  )
  await client.logIn(await registered())
  await expireToken(storage)
  expect(await client.todos.list()).toEqual([])
})

test("a session that has ended is forgotten, and all tabs hear of it", async () => {
  const storage = memoryStorage()
  const [one, other] = [
    createClient({ url: app.url, storage }),
    createClient({ url: app.url, storage }),
  ]
  await one.logIn(await registered())
  const heard = new Promise<void>((resolve) => other.onSessionChange(resolve))
  await expireToken(storage, { refresh_token: "ended" })
  expect((await failing(one.todos.list())).error_code).toBe("UNAUTHORIZED")
  await heard
  expect(await other.user()).toBeUndefined()
})

test("what may be repeated is, and a create whose answer got lost is there once", async () => {
  const client = through(
    app,
    losingAnswers(2, (method, url) => method === "POST" && url.endsWith("/todos")),
  )
  await client.logIn(await registered())
  const { todo } = await client.todos.create({ title: "Buy milk" })
  expect(await client.todos.list()).toEqual([todo])
  expect(client.slept.length).toBe(2)
})

test("a create has the caller's key, if there is one", async () => {
  const client = createClient({ url: app.url, storage: memoryStorage() })
  await client.logIn(await registered())
  const create = () =>
    client.call("post", "/api/v1/todos", {
      headers: { "Idempotency-Key": "from-the-caller" },
      body: { title: "Buy milk" },
    })
  expect((await create()).data).toEqual((await create()).data)
  expect((await client.todos.list()).length).toBe(1)
})

test("a delete whose answer got lost has deleted", async () => {
  const client = through(
    app,
    losingAnswers(1, (method) => method === "DELETE"),
  )
  await client.logIn(await registered())
  const { todo } = await client.todos.create({ title: "Buy milk" })
  await client.todos.delete(todo.id)
  expect(await client.todos.list()).toEqual([])
})

test("a delete has not deleted where only a limit came before, or a proxy does not find it", async () => {
  const limited = { error_code: "TOO_MANY_REQUESTS", status: 429, detail: "Slower" }
  let answers: Response[] = []
  const client = through(app, (fetch) => async (url, init) => {
    const next = init.method === "DELETE" ? answers.shift() : undefined
    return next ?? fetch(url, init)
  })
  await client.logIn(await registered())
  answers = [problem(limited)]
  expect((await failing(client.todos.delete(1))).error_code).toBe("TODO_NOT_FOUND")

  const { todo } = await client.todos.create({ title: "Buy milk" })
  answers = [502, 404].map((status) => new Response("<html>", { status }))
  expect(await failing(client.todos.delete(todo.id))).toMatchObject({
    error_code: "UNEXPECTED_ANSWER",
    status: 404,
  })
  expect(await client.todos.list()).toEqual([todo])
})

test("an update under a condition is not repeated: its own first try would refuse it", async () => {
  const client = through(
    app,
    losingAnswers(1, (method) => method === "PATCH"),
  )
  await client.logIn(await registered())
  const { todo, etag } = await client.todos.create({ title: "Buy milk" })
  const lost = await failing(client.todos.update(todo.id, { title: "Oats" }, { if_match: etag }))
  expect(lost.error_code).toBe("NETWORK_ERROR")
  expect((await client.todos.get(todo.id)).todo.title).toBe("Oats")
})

test("Retry-After is kept to, and not waited for where it is long", async () => {
  let after = "2"
  const limited = { error_code: "TOO_MANY_REQUESTS", status: 429, detail: "Slower" }
  let refusals = 0
  const client = through(app, (fetch) => async (url, init) => {
    if (!url.endsWith("/todos") || refusals-- <= 0) return fetch(url, init)
    return problem(limited, { "retry-after": after })
  })
  await client.logIn(await registered())
  refusals = 1
  expect(await client.todos.list()).toEqual([])
  expect(client.slept).toEqual([expect.any(Number)])
  expect(client.slept[0]).toBeGreaterThan(2_000)
  refusals = 1
  after = "600"
  const refused = await failing(client.todos.list())
  if (refused.error_code !== "TOO_MANY_REQUESTS") throw refused
  expect(refused.retry_after).toBe(600)
})

test("any error may say when to come again, and none has to", async () => {
  const limited = { error_code: "TOO_MANY_REQUESTS", status: 429, detail: "Slower" }
  const limiting = through(app, () => async () => problem(limited))
  const refused = await failing(limiting.logIn(newAccount()))
  if (refused.error_code !== "TOO_MANY_REQUESTS") throw refused
  // @ts-expect-error: it may be undefined.
  expect(() => refused.retry_after.toFixed()).toThrow()

  const headers = { "retry-after": "600" }
  const proxy = through(app, () => async () => new Response("<html>", { status: 502, headers }))
  const away = await failing(proxy.logIn(newAccount()))
  if (away.error_code !== "UNEXPECTED_ANSWER") throw away
  expect(away.retry_after satisfies number | undefined).toBe(600)
})

test("pages come one after the other, with no link to be seen", async () => {
  const client = createClient({ url: app.url, storage: memoryStorage() })
  await client.logIn(await registered())
  for (const title of ["a", "b", "c", "d", "e"]) await client.todos.create({ title })
  const pages: string[][] = []
  for await (const page of client.todos.pages({ limit: 2, sort: "-title" }))
    pages.push(page.map(({ title }) => title))
  expect(pages).toEqual([["e", "d"], ["c", "b"], ["a"]])
})

test("a signal ends a call, while it pauses too", async () => {
  const client = createClient({ url: app.url, storage: memoryStorage() })
  await client.logIn(await registered())
  const gone = AbortSignal.abort(new Error("gone"))
  await expect(client.todos.list({}, { signal: gone })).rejects.toThrow("gone")
  const away = createClient({ url: "http://127.0.0.1:1", storage: memoryStorage() })
  const leaving = new AbortController()
  const call = away.call("get", "/health/live", { signal: leaving.signal })
  setTimeout(() => leaving.abort(new Error("left")), 50)
  await expect(call).rejects.toThrow("left")
})
