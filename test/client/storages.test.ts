/** The client where the storage fails it. */
import { expect, test } from "bun:test"
import { memoryStorage, type Storage } from "../../src/client/index.ts"
import { openStore } from "../../src/client/live/store.ts"
import { createChannels, platform } from "../../src/client/platform.ts"
import { browserStorage } from "../../src/client/storage/browser.ts"
import { eventually, expireToken, type LiveApp, type Reach, startLiveApp } from "../support/live.ts"

/** That the test fills up. A full one still lets go of what is stored. */
const limitedStorage = () => {
  const storage = memoryStorage()
  const disk = { isFull: false, isBroken: false }
  const limited: Storage = {
    name: storage.name,
    read: async (key) => {
      if (disk.isBroken) throw new Error("The storage cannot be read")
      return storage.read(key)
    },
    update: (key, change) =>
      storage.update(key, (value) => {
        const next = change(value)
        if (disk.isFull && next !== undefined) throw new Error("The storage is full")
        return next
      }),
  }
  return { storage, disk, limited }
}

/** Of one account. The phone's storage is the limited one. */
const phoneAndDesk = async (app: LiveApp) => {
  const account = app.newAccount()
  const { disk, limited } = limitedStorage()
  const [phone, desk] = [app.open(undefined, limited), app.open()]
  await phone.register(account)
  await desk.logIn(account)
  return { phone, desk, disk }
}

test("where the storage is full an edit is refused, and the copy goes on", async () => {
  await using app = await startLiveApp()
  const { phone, desk, disk } = await phoneAndDesk(app)
  const live = await phone.todos.live()
  await live.create({ title: "before" })
  await eventually(() => live.status().pending === 0)

  disk.isFull = true
  await expect(live.create({ title: "full" })).rejects.toThrow("full")
  await eventually(() => live.list().length === 1)
  await desk.todos.create({ title: "elsewhere" })
  await eventually(() => live.list().length === 2)
  disk.isFull = false
  await live.create({ title: "after" })
  await eventually(() => live.status().pending === 0)
  expect((await desk.todos.list()).map(({ title }) => title)).toEqual([
    "before",
    "elsewhere",
    "after",
  ])
})

test("tokens that a full storage does not accept are used all the same", async () => {
  await using app = await startLiveApp()
  const { storage, disk, limited } = limitedStorage()
  const client = app.open(undefined, limited)
  await client.register(app.newAccount())
  await expireToken(storage)
  disk.isFull = true
  expect(await client.todos.list()).toEqual([])
  // With the token of before it would be found out as one that was used.
  await client.todos.create({ title: "Buy milk" })
  expect((await client.todos.list()).length).toBe(1)
})

test("tokens that a full storage does not accept are those of the other tabs, too, and of no later one", async () => {
  await using app = await startLiveApp()
  const { storage, disk, limited } = limitedStorage()
  let refreshes = 0
  const counting = (reach: Reach) => (path: string, init: RequestInit) => {
    if (path.endsWith("/auth/refresh")) refreshes++
    return reach(path, init)
  }
  const [one, other] = [app.open(counting, limited), app.open(counting, limited)]
  const user = await one.register(app.newAccount())
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

test("a storage that cannot be read for a while keeps no copy from being in step later", async () => {
  await using app = await startLiveApp()
  const { phone, desk, disk } = await phoneAndDesk(app)
  const live = await phone.todos.live()
  disk.isBroken = true
  await desk.todos.create({ title: "Buy milk" })
  await Bun.sleep(50)
  disk.isBroken = false
  await eventually(() => live.list().length === 1)
})

/** Its copies cannot be read while it is broken. */
const breakingStorage = () => {
  const storage = memoryStorage()
  const disk = { isBroken: true }
  const breaking: Storage = {
    ...storage,
    read: async (key) => {
      if (disk.isBroken && key.startsWith("copy:")) throw new Error("The copy cannot be read")
      return storage.read(key)
    },
  }
  return { disk, breaking }
}

test("a copy that could not be opened is opened by the next call", async () => {
  await using app = await startLiveApp()
  const { disk, breaking } = breakingStorage()
  const client = app.open(undefined, breaking)
  await client.register(app.newAccount())
  await client.todos.create({ title: "Buy milk" })
  await expect(client.todos.live()).rejects.toThrow("The copy cannot be read")
  disk.isBroken = false
  const live = await client.todos.live()
  await eventually(() => live.list().length === 1)
  expect(await client.todos.live()).toBe(live)
})

test("a copy that could not be opened leaves no channel behind", async () => {
  const { breaking } = breakingStorage()
  const channels = createChannels()
  let open = 0
  const channel: typeof channels = (...given) => {
    const opened = channels(...given)
    open++
    return { ...opened, close: () => open-- }
  }
  const session = { user: async () => undefined }
  const given = { platform: { ...platform, channel }, storage: breaking, session, userId: 1 }
  await expect(openStore(given)).rejects.toThrow("The copy cannot be read")
  expect(open).toBe(0)
})

test("a log-out removes the copy that another tab is about to store", async () => {
  await using app = await startLiveApp()
  const storage = memoryStorage()
  let store = () => {}
  const held = new Promise<void>((resolve) => {
    store = resolve
  })
  let isHeld = false
  const stored: string[] = []
  const slow: Storage = {
    ...storage,
    update: async (key, change) => {
      if (!key.startsWith("copy:")) return storage.update(key, change)
      isHeld = true
      await held
      await storage.update(key, (value) => {
        const copy = change(value)
        stored.push(copy ? "a copy" : "none")
        return copy
      })
    },
  }
  const [tab, other] = [app.open(undefined, slow), app.open(undefined, storage)]
  await tab.register(app.newAccount())
  await tab.todos.live()
  await eventually(() => isHeld)
  await other.logOut()
  store()
  await eventually(() => stored.join() === "a copy,none")
})

/** Of a tab whose browser lets nobody open IndexedDB. */
const blockedStorage = () => {
  const open = () => {
    throw new Error("blocked")
  }
  Object.assign(globalThis, { indexedDB: { open } })
  try {
    return browserStorage("todo-api")
  } finally {
    Reflect.deleteProperty(globalThis, "indexedDB")
  }
}

test("tabs with a memory of their own, because the browser blocks IndexedDB, share no session", async () => {
  await using app = await startLiveApp()
  const storages = [blockedStorage(), blockedStorage()]
  const [one, other] = storages.map((storage) => app.open(undefined, storage))
  let told = 0
  other?.onSessionChange(() => told++)
  await one?.register(app.newAccount())
  expect(new Set(storages.map((storage) => storage?.name)).size).toBe(2)
  // Messages arrive in a microtask.
  await Bun.sleep(0)
  expect(told).toBe(0)
  expect(await other?.user()).toBeUndefined()
})
