/** The client where its surroundings fail it: tabs, proxies, sessions that end. */
import { expect, test } from "bun:test"
import { ApiError, memoryStorage } from "../../src/client/index.ts"
import { LONGEST_QUEUE } from "../../src/client/live/store.ts"
import { backOff, createChannels, createLocks, platform } from "../../src/client/platform.ts"
import { eventually, expireToken, type Reach, shareLiveApp } from "../support/live.ts"
import { problem } from "../support/portal.ts"

const app = await shareLiveApp()

test("a queue that is full says so", async () => {
  const account = await app.account()
  const storage = memoryStorage()
  let isCut = false
  const client = app.open(
    (reach) => (path, init) => (isCut ? Promise.reject(new TypeError("cut")) : reach(path, init)),
    storage,
  )
  await client.logIn(account)
  isCut = true
  const live = await client.todos.live()
  await live.createMany(
    Array.from({ length: LONGEST_QUEUE }, (_, index) => ({ title: `${index}` })),
  )
  const refused = await live.create({ title: "one too many" }).catch((error) => error)
  expect(refused).toBeInstanceOf(ApiError)
  expect(refused).toMatchObject({ error_code: "QUEUE_FULL", status: 0 })
  expect(live.list().length).toBe(LONGEST_QUEUE)
})

test("a refresh that is to come again much later holds up nobody", async () => {
  const storage = memoryStorage()
  const client = app.open(
    (reach) => async (path, init) =>
      path.endsWith("/auth/refresh")
        ? problem(
            { error_code: "SERVICE_UNAVAILABLE", status: 503, detail: "Later" },
            { "retry-after": "20" },
          )
        : reach(path, init),
    storage,
    1,
  )
  await client.register(app.newAccount())
  await expireToken(storage)
  const started = performance.now()
  const refused = await client.todos.list().catch((error) => error)
  expect(refused).toMatchObject({ error_code: "SERVICE_UNAVAILABLE", retry_after: 20 })
  // It has not waited for them.
  expect(performance.now() - started).toBeLessThan(20_000)
})

test("a session that has ended is told once, a refreshed one never", async () => {
  const storage = memoryStorage()
  const client = app.open(undefined, storage)
  await client.logIn(await app.account())
  const live = await client.todos.live()
  await eventually(() => live.status().is_online)
  let told = 0
  client.onSessionChange(() => told++)
  await expireToken(storage)
  await client.todos.list()
  expect(told).toBe(0)
  await expireToken(storage, { refresh_token: "ended" })
  const calls = await Promise.allSettled(Array.from({ length: 10 }, () => client.todos.list()))
  expect(calls.every(({ status }) => status === "rejected")).toBe(true)
  await live.create({ title: "waits" })
  await eventually(() => !live.status().is_logged_in)
  expect(told).toBe(1)
  await client.logOut()
  expect(told).toBe(1)
})

test("a signal ends a call that waits for the refresh of the tokens, and the refresh goes on", async () => {
  const storage = memoryStorage()
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const client = app.open(
    (reach) => async (path, init) => {
      if (path.endsWith("/auth/refresh")) await held
      return reach(path, init)
    },
    storage,
    1,
  )
  await client.logIn(await app.account())
  await expireToken(storage)
  const leaving = new AbortController()
  const call = client.todos.list({}, { signal: leaving.signal })
  leaving.abort(new Error("left"))
  await expect(call).rejects.toThrow("left")
  const other = client.todos.list()
  release()
  expect(await other).toEqual([])
})

test("a proxy that cuts every stream at once is not asked again and again: answers wait instead", async () => {
  const account = await app.account()
  let [streams, waits] = [0, 0]
  const intercept = (reach: Reach) => async (path: string, init: RequestInit) => {
    if (new Headers(init.headers).has("prefer")) waits++
    if (!path.endsWith("/events")) return reach(path, init)
    streams++
    const response = await reach(path, init)
    const { value } = (await response.body?.getReader().read()) ?? {}
    return new Response(value, response)
  }
  // In no haste: a slow machine makes no stream of these a steady one.
  const cut = app.open(intercept, memoryStorage(), 1)
  const desk = app.open()
  await cut.logIn(account)
  await desk.logIn(account)
  const live = await cut.todos.live()
  await eventually(() => waits > 0)
  const before = streams
  for (const title of ["a", "b", "c"]) {
    await desk.todos.create({ title })
    await eventually(() => live.list().some((todo) => todo.title === title))
  }
  expect(before).toBe(3)
  expect(streams).toBe(3)
})

test("a client that is closed before its replica is open, as in StrictMode, leads no other tab", async () => {
  const storage = memoryStorage()
  const account = await app.account()
  const page = app.open(undefined, storage)
  await page.logIn(account)
  await page.todos.create({ title: "Buy milk" })
  const closed = app.open(undefined, storage)
  const opening = closed.todos.live().catch(String)
  closed.close()
  expect(await opening).toBe("Error: The client is closed")
  const tab = await app.open(undefined, storage).todos.live({ until: "synced" })
  await page.logOut()
  await eventually(() => tab.list().length === 0 && !tab.status().is_logged_in)
  await page.logIn(account)
  await eventually(() => tab.list().length === 1 && tab.status().is_logged_in)
})

test("after a replica is closed the next call opens another, which syncs", async () => {
  const client = app.open()
  await client.logIn(await app.account())
  const first = await client.todos.live({ until: "synced" })
  first.close()
  const second = await client.todos.live()
  expect(second).not.toBe(first)
  expect(await client.todos.live()).toBe(second)
  await client.todos.create({ title: "Buy milk" })
  await eventually(() => second.list().length === 1)
  expect(first.list()).toEqual([])
})

test("closed clients leave no channel, no lock and no timer behind", async () => {
  const channels = createChannels()
  const opened = channels("one", () => {})
  const other = channels("one", () => {})
  opened.close()
  opened.close()
  let heard = 0
  const late = channels("one", () => heard++)
  other.post("hello")
  other.close()
  await Bun.sleep(0)
  expect(heard).toBe(1)
  late.close()

  const lock = createLocks()
  const leaving = new AbortController()
  const listeners = { count: 0 }
  const { signal } = leaving
  const [add, remove] = [signal.addEventListener, signal.removeEventListener]
  signal.addEventListener = (...given: Parameters<typeof add>) => {
    listeners.count++
    add.apply(signal, given)
  }
  signal.removeEventListener = (...given: Parameters<typeof remove>) => {
    listeners.count--
    remove.apply(signal, given)
  }
  let release = () => {}
  const held = lock("name", {}, () => new Promise<void>((resolve) => (release = resolve)))
  const waiting = Array.from({ length: 10 }, (_, index) =>
    lock("name", { signal }, async () => index),
  )
  await Bun.sleep(0)
  release()
  await held
  expect(await Promise.all(waiting)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await Bun.sleep(0)
  expect(listeners.count).toBe(0)
})

test("a hidden tab tries again as soon as one that is looked at, and that it may lead", () => {
  Object.assign(globalThis, { document: { visibilityState: "hidden" } })
  try {
    expect(backOff({ ...platform, random: () => 0.999 }, 20)).toBeLessThanOrEqual(10_000)
  } finally {
    Reflect.deleteProperty(globalThis, "document")
  }
})
