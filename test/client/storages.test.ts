/** The client where the storage fails it. */
import { expect, test } from "bun:test"
import { createClientOn } from "../../src/client/client.ts"
import { ApiError, memoryStorage, type Storage } from "../../src/client/index.ts"
import { createChannels, platform } from "../../src/client/platform.ts"
import { browserStorage } from "../../src/client/storage/browser.ts"
import { eventually, expireToken, type LiveApp, type Reach, shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()

/** That the test fills up: values of which keys. A full one still lets go of what is stored. */
const limitedStorage = () => {
  const storage = memoryStorage()
  const disk = { isFull: false, isBroken: false, writes: 0, keys: /./ }
  const limited: Storage = {
    ...storage,
    isVolatile: false,
    read: async (prefix) => {
      if (disk.isBroken) throw new Error("The storage cannot be read")
      return storage.read(prefix)
    },
    write: async (values, guard) => {
      disk.writes++
      const added = [...values].filter(([, value]) => value !== undefined)
      if (disk.isFull && added.some(([key]) => disk.keys.test(key)))
        throw new Error("The storage is full")
      return storage.write(values, guard)
    },
  }
  return { storage, disk, limited }
}

/** Of one account. The phone's storage is the limited one. */
const phoneAndDesk = async (app: LiveApp) => {
  const account = await app.account()
  const { disk, limited } = limitedStorage()
  const [phone, desk] = [app.open(undefined, limited), app.open()]
  await phone.logIn(account)
  await desk.logIn(account)
  return { phone, desk, disk }
}

test("where the storage is full everything goes on in memory, tells so, and is stored later", async () => {
  const { storage, disk, limited } = limitedStorage()
  const account = await app.account()
  const [phone, tab, desk] = [
    app.open(undefined, limited),
    app.open(undefined, limited),
    app.open(),
  ]
  await phone.logIn(account)
  await desk.logIn(account)
  const [live, follower] = [await phone.todos.live(), await tab.todos.live()]
  await live.create({ title: "before" })
  await eventually(() => live.status().pending === 0 && live.status().is_stored)

  disk.isFull = true
  await live.create({ title: "here" })
  expect(live.status().is_stored).toBe(false)
  await follower.create({ title: "in another tab" })
  await desk.todos.create({ title: "elsewhere" })
  const everywhere = () =>
    [live, follower].every((one) => one.list().length === 4 && one.status().pending === 0)
  await eventually(everywhere)
  expect((await desk.todos.list()).length).toBe(4)
  // It pauses, longer each time.
  const [before, started] = [disk.writes, performance.now()]
  await Bun.sleep(200)
  const [writes, seconds] = [disk.writes - before, (performance.now() - started) / 1_000]
  expect(writes / seconds).toBeLessThan(200)

  disk.isFull = false
  await live.create({ title: "after" })
  await eventually(() => live.status().pending === 0 && live.status().is_stored)
  await eventually(() => follower.status().is_stored && follower.list().length === 5)
  const reloaded = await app.open(undefined, storage).todos.live()
  await eventually(() => reloaded.list().length === 5 && reloaded.status().pending === 0)
})

test("where only the replica does not fit, edits are stored, and other tabs show what is new", async () => {
  const { disk, limited } = limitedStorage()
  const account = await app.account()
  const [phone, tab, desk] = [
    app.open(undefined, limited),
    app.open(undefined, limited),
    app.open(),
  ]
  await phone.logIn(account)
  await desk.logIn(account)
  const [live, follower] = [await phone.todos.live(), await tab.todos.live()]
  await eventually(() => follower.status().has_synced)
  Object.assign(disk, { isFull: true, keys: /^replica:/ })
  await desk.todos.create({ title: "elsewhere" })
  await follower.create({ title: "here" })
  await eventually(() => [live, follower].every((one) => one.list().length === 2))
  expect(live.status().is_stored).toBe(true)
})

test("tokens that a full storage does not accept are used all the same", async () => {
  const { storage, disk, limited } = limitedStorage()
  const client = app.open(undefined, limited)
  await client.logIn(await app.account())
  await expireToken(storage)
  disk.isFull = true
  expect(await client.todos.list()).toEqual([])
  // With the token of before it would be found out as one that was used.
  await client.todos.create({ title: "Buy milk" })
  expect((await client.todos.list()).length).toBe(1)
})

test("tokens that a full storage does not accept are those of the other tabs, too, and of no later one", async () => {
  const { storage, disk, limited } = limitedStorage()
  let refreshes = 0
  const counting = (reach: Reach) => (path: string, init: RequestInit) => {
    if (path.endsWith("/auth/refresh")) refreshes++
    return reach(path, init)
  }
  const [one, other] = [app.open(counting, limited), app.open(counting, limited)]
  const user = await one.logIn(await app.account())
  expect(await other.user()).toEqual(user)
  await expireToken(storage)
  disk.isFull = true
  expect(await one.todos.list()).toEqual([])
  expect(await other.todos.list()).toEqual([])
  expect(refreshes).toBe(1)
  // It would have to refresh with the used token, which ends the session of all.
  expect(await app.open(undefined, limited).user()).toBeUndefined()

  // The other tabs forget a session together, too.
  await one.logOut()
  expect(await other.user()).toBeUndefined()
})

test("a storage that cannot be read for a while keeps no replica from being in step later", async () => {
  const { phone, desk, disk } = await phoneAndDesk(app)
  const live = await phone.todos.live()
  disk.isBroken = true
  await desk.todos.create({ title: "Buy milk" })
  await Bun.sleep(50)
  disk.isBroken = false
  await eventually(() => live.list().length === 1)
})

/** Its replicas cannot be read while it is broken. */
const breakingStorage = () => {
  const storage = memoryStorage()
  const disk = { isBroken: true }
  const breaking: Storage = {
    ...storage,
    read: async (prefix) => {
      if (disk.isBroken && prefix.startsWith("replica:")) throw new Error("It cannot be read")
      return storage.read(prefix)
    },
  }
  return { disk, breaking }
}

test("a replica that could not be opened is opened by the next call", async () => {
  const { disk, breaking } = breakingStorage()
  const client = app.open(undefined, breaking)
  await client.logIn(await app.account())
  await client.todos.create({ title: "Buy milk" })
  const failed = await client.todos.live().catch((error) => error)
  expect(failed).toBeInstanceOf(ApiError)
  expect(failed.error_code).toBe("STORAGE_FAILED")
  disk.isBroken = false
  const live = await client.todos.live()
  await eventually(() => live.list().length === 1)
  expect(await client.todos.live()).toBe(live)
})

test("a replica that could not be opened leaves no channel behind", async () => {
  const { breaking } = breakingStorage()
  const channels = createChannels()
  const open = new Set<object>()
  const channel: typeof channels = (name, onMessage) => {
    const { post, close } = channels(name, onMessage)
    if (name.includes(":live:")) open.add(close)
    return { post, close: () => open.delete(close) && close() }
  }
  const client = createClientOn({ ...platform, channel }, { url: app.url, storage: breaking })
  await client.logIn(await app.account())
  await expect(client.todos.live()).rejects.toThrow("It cannot be read")
  expect(open.size).toBe(0)
  client.close()
})

test("a log-out is one write: where the storage fails, all is as it was, and it says so", async () => {
  const storage = memoryStorage()
  const disk = { isStuck: false }
  const failing: Storage = {
    ...storage,
    write: async (values, guard) => {
      if (disk.isStuck) throw new Error("The disk is gone")
      const isWritten = await storage.write(values, guard)
      // Here the page is closed, perhaps.
      if (values.get("session") === undefined && values.has("session"))
        keys.push([...(await storage.read("")).keys()])
      return isWritten
    },
  }
  const keys: string[][] = []
  const client = app.open(undefined, failing)
  const user = await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  await live.create({ title: "Buy milk" })
  await eventually(() => live.status().pending === 0)
  for (const pending of ["send", "keep", "discard"] as const) {
    disk.isStuck = true
    const failed = await client.logOut({ pending }).catch((error) => error)
    expect(failed).toBeInstanceOf(ApiError)
    expect(failed.error_code).toBe("STORAGE_FAILED")
    disk.isStuck = false
    expect(await client.user()).toEqual(user)
    expect((await client.todos.live()).list().length).toBe(1)
    expect((await client.todos.list()).length).toBe(1)
  }
  await client.logOut()
  expect(keys).toEqual([[expect.stringMatching(/^left:/)]])
  expect([...(await storage.read("")).keys()]).toEqual([])
})

test("a log-out removes the replica that another tab is about to store", async () => {
  const storage = memoryStorage()
  let store = () => {}
  const held = new Promise<void>((resolve) => {
    store = resolve
  })
  let isHeld = false
  const slow: Storage = {
    ...storage,
    write: async (values, guard) => {
      if (![...values.keys()].some((key) => key.startsWith("replica:")))
        return storage.write(values, guard)
      isHeld = true
      await held
      return storage.write(values, guard)
    },
  }
  const [tab, other] = [app.open(undefined, slow), app.open(undefined, storage)]
  const desk = app.open()
  const account = await app.account()
  await desk.logIn(account)
  await desk.todos.create({ title: "Buy milk" })
  await tab.logIn(account)
  await tab.todos.live()
  await eventually(() => isHeld)
  await other.logOut()
  store()
  await Bun.sleep(50)
  while ((await storage.read("")).size > 0) await Bun.sleep(5)
})

/** Of a tab whose browser lets nobody open IndexedDB. */
const blockedStorage = () => {
  const open = () => {
    throw new DOMException("blocked", "SecurityError")
  }
  Object.assign(globalThis, { indexedDB: { open } })
  try {
    return browserStorage("todo-api")
  } finally {
    Reflect.deleteProperty(globalThis, "indexedDB")
  }
}

test("tabs with a memory of their own, because the browser blocks IndexedDB, share no session", async () => {
  const storages = [blockedStorage(), blockedStorage()]
  const [one, other] = storages.map((storage) => app.open(undefined, storage))
  let told = 0
  other?.onSessionChange(() => told++)
  await one?.logIn(await app.account())
  expect(new Set(storages.map((storage) => storage?.name)).size).toBe(2)
  // Messages arrive in a microtask.
  await Bun.sleep(0)
  expect(told).toBe(0)
  expect(await other?.user()).toBeUndefined()
})

/** Of a tab whose browser does not even let pages look for IndexedDB, or has none. */
const noStorage = (get: () => unknown) => {
  Object.defineProperty(globalThis, "indexedDB", { configurable: true, get })
  try {
    return browserStorage("todo-api")
  } finally {
    Reflect.deleteProperty(globalThis, "indexedDB")
  }
}
const forbidden = () => {
  throw new DOMException("blocked", "SecurityError")
}

test.each([
  ["blocked", blockedStorage],
  ["forbidden", () => noStorage(forbidden)],
  ["without storages", () => noStorage(() => undefined)],
])(
  "what a browser that is %s has in memory is stored when the service has it",
  async (_, start) => {
    let isCut = false
    const through = (reach: Reach) => (path: string, init: RequestInit) =>
      isCut ? Promise.reject(new TypeError("cut")) : reach(path, init)
    const client = app.open(through, start())
    await client.logIn(await app.account())
    const live = await client.todos.live({ until: "synced" })
    isCut = true
    await live.create({ title: "Buy milk" })
    // The edit was stored, and marked as sent.
    await eventually(() => !live.status().is_online)
    expect(live.status()).toMatchObject({ pending: 1, is_stored: false })
    isCut = false
    live.retry()
    await eventually(() => live.status().pending === 0)
    expect(live.status().is_stored).toBe(true)
  },
)
