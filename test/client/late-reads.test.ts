/** Messages between tabs come by another way than all else: what they tell of may be known later. */
import { expect, test } from "bun:test"
import { createClientOn } from "../../src/client/client.ts"
import { memoryStorage, type Storage } from "../../src/client/index.ts"
import { openStore } from "../../src/client/live/store.ts"
import { createChannels, type Platform, platform } from "../../src/client/platform.ts"
import { eventually, startLiveApp } from "../support/live.ts"

/** What the test lets through when it opens it. */
const createGate = () => {
  const gate = { isShut: false, waiting: [] as (() => void)[] }
  const pass = async () => {
    if (gate.isShut) await new Promise<void>((resolve) => gate.waiting.push(resolve))
  }
  const open = () => {
    gate.isShut = false
    for (const resolve of gate.waiting.splice(0)) resolve()
  }
  return Object.assign(gate, { pass, open })
}

test("a login that is heard of before the failure of the last request is known is not overlooked", async () => {
  await using app = await startLiveApp()
  const storage = memoryStorage()
  const account = app.newAccount()
  const page = app.open(undefined, storage)
  await page.register(account)
  await page.todos.create({ title: "milk" })
  // A tab whose browser says late that its lock was released, and whose pauses are not shortened.
  const [requests, locks] = [createGate(), createGate()]
  const on: Platform = {
    ...platform,
    fetch: async (url, init) => {
      if (url.includes("/changes")) await requests.pass()
      return platform.fetch(url, init)
    },
    lock: (name, options, run) => platform.lock(name, options, run).finally(locks.pass),
  }
  const tab = createClientOn(on, { url: app.url, storage })
  const live = await tab.todos.live({ until: "synced" })
  requests.isShut = true
  live.retry()
  await eventually(() => requests.waiting.length > 0)
  await page.logOut()
  locks.isShut = true
  requests.open()
  await eventually(() => locks.waiting.length > 0)
  await page.logIn(account)
  await Bun.sleep(10)
  locks.open()
  await eventually(() => live.status().is_logged_in && live.list().length === 1)
  tab.close()
})

test("a login after the browser has removed what is stored is heard of by the tab that leads", async () => {
  await using app = await startLiveApp()
  const storage = memoryStorage()
  const account = app.newAccount()
  const page = app.open(undefined, storage)
  await page.register(account)
  await page.todos.create({ title: "milk" })
  // Whose pauses end by nothing but a reason to.
  const on: Platform = {
    ...platform,
    sleep: (milliseconds, signal) =>
      platform.sleep(milliseconds < 60_000 ? milliseconds : 2 ** 30, signal),
  }
  const tab = createClientOn(on, { url: app.url, storage })
  const live = await tab.todos.live({ until: "synced" })
  const users: (string | null | undefined)[] = []
  tab.onSessionChange(async () => users.push((await tab.user())?.email))
  const stored = await storage.read("")
  await storage.write(new Map([...stored.keys()].map((key) => [key, undefined])))
  live.retry()
  await eventually(() => !live.status().is_logged_in)
  await page.logIn(account)
  await eventually(() => live.status().is_logged_in && live.list().length === 1)
  await eventually(() => users.join() === `,${account.email}`)
  tab.close()
})

test("a stream that was refused before a login is opened at once after it", async () => {
  await using app = await startLiveApp()
  const storage = memoryStorage()
  const account = app.newAccount()
  const page = app.open(undefined, storage, 1)
  await page.register(account)
  const reads = createGate()
  const late: Storage = {
    ...storage,
    read: async (prefix) => {
      const values = await storage.read(prefix)
      if (prefix === "session" && values.size === 0) await reads.pass()
      return values
    },
  }
  let streams = 0
  let isSlow = false
  const on: Platform = {
    ...platform,
    fetch: (url, init) => {
      if (url.endsWith("/events")) streams++
      return platform.fetch(url, init)
    },
    sleep: (milliseconds, signal) => platform.sleep(isSlow ? 60_000 : milliseconds, signal),
  }
  const tab = createClientOn(on, { url: app.url, storage: late })
  await tab.todos.live({ until: "synced" })
  await eventually(() => streams === 1)
  reads.isShut = true
  await page.logOut({ pending: "keep" })
  // Of the replica, of the work and of the stream.
  await eventually(() => reads.waiting.length === 3)
  isSlow = true
  await page.logIn(account)
  await Bun.sleep(10)
  reads.open()
  await eventually(() => streams === 2)
  tab.close()
})

test("a tab that was frozen during a log-out removes nothing of the session after it", async () => {
  await using app = await startLiveApp()
  const storage = memoryStorage()
  const account = app.newAccount()
  let isCut = false
  const page = app.open(
    (reach) => (path, init) => (isCut ? Promise.reject(new TypeError("cut")) : reach(path, init)),
    storage,
  )
  await page.register(account)
  const messages = createGate()
  const on: Platform = {
    ...platform,
    lock: app.lock,
    channel: (name, onMessage) =>
      platform.channel(name, (message) => messages.pass().then(() => onMessage(message))),
  }
  const frozen = createClientOn(on, { url: app.url, storage })
  const tab = await frozen.todos.live({ until: "synced" })
  const before = await page.todos.live({ until: "synced" })
  await before.create({ title: "before" })
  await eventually(() => before.status().pending === 0 && tab.list().length === 1)
  messages.isShut = true
  await page.logOut()
  await page.logIn(account)
  const live = await page.todos.live({ until: "synced" })
  await eventually(() => live.list().length === 1)
  isCut = true
  await live.create({ title: "typed without a network" })
  messages.open()
  await Bun.sleep(50)
  const again = await app.open(undefined, storage).todos.live()
  expect(again.list().map(({ title }) => title)).toEqual(["before", "typed without a network"])
  isCut = false
  await eventually(() => again.status().pending === 0 && tab.list().length === 2)
  frozen.close()
})

test("a tab that is opened while another stores something shows it", async () => {
  const storage = memoryStorage()
  const reads = createGate()
  const slow: Storage = {
    ...storage,
    read: async (prefix) => {
      const values = await storage.read(prefix)
      await reads.pass()
      return values
    },
  }
  const { signal } = new AbortController()
  const on = { ...platform, channel: createChannels() }
  const given = { platform: on, userId: 1, signal, isLoggedIn: () => true }
  const leader = await openStore({ ...given, storage })
  reads.isShut = true
  const opening = openStore({ ...given, storage: slow })
  await Bun.sleep(0)
  const todo = {
    ...{ id: 1, title: "milk", description: null, is_completed: false },
    ...{ created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z" },
  }
  const state = { token: "1", isComplete: true, round: 0 }
  await leader.replace(undefined, state, [{ id: 1, todo, etag: '"1"' }])
  await Bun.sleep(0)
  reads.open()
  const opened = await opening
  await eventually(() => opened.list({}, "created_at").length === 1)
  expect(opened.syncState()).toEqual(state)
})
