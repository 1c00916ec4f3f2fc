/** The client where the storage fails it. */
import { expect, test } from "bun:test"
import { memoryStorage, type Storage } from "../../src/client/index.ts"
import { openStore } from "../../src/client/live/store.ts"
import { createChannels, platform } from "../../src/client/platform.ts"
import { browserStorage } from "../../src/client/storage/browser.ts"
import { eventually, startLiveApp } from "../support/live.ts"

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
  await expect(openStore({ ...platform, channel }, breaking, 1)).rejects.toThrow()
  expect(open).toBe(0)
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
