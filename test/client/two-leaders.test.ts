/** Two tabs that both lead, as on a page without locks. */
import { expect, test } from "bun:test"
import { openStore, type Store } from "../../src/client/live/store.ts"
import { createChannels, type Platform, platform } from "../../src/client/platform.ts"
import { memoryStorage } from "../../src/client/storage/memory.ts"

test("their statuses cross, and neither answers the other: each knows its own connection", async () => {
  const channels = createChannels()
  let posted = 0
  const on: Platform = {
    ...platform,
    channel: (name, onMessage) => {
      const { post, close } = channels(name, onMessage)
      // Without an end they would hold up the test itself.
      return { close, post: (message) => ++posted < 100 && post(message) }
    },
  }
  const { signal } = new AbortController()
  const given = { platform: on, storage: memoryStorage(), userId: 1, isLoggedIn: () => true }
  const [one, two] = [await openStore({ ...given, signal }), await openStore({ ...given, signal })]
  for (const store of [one, two]) store.leads(true)
  await Bun.sleep(0)
  one.connected({ is_online: false, is_logged_in: true })
  two.connected({ is_online: true, is_logged_in: false })
  await Bun.sleep(0)
  expect(posted).toBeLessThan(10)
  expect(one.connection()).toEqual({ is_online: false, is_logged_in: true })
  expect(two.connection()).toEqual({ is_online: true, is_logged_in: false })
})

const members = { title: "milk", description: null, is_completed: false }
const times = { created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z" }
const todo = { id: 7, ...members, ...times }
const fetched = [{ id: 7, todo, etag: '"1"' }]
const synced = { token: "1", isComplete: true, round: 0 }
const key = "0123456789abcdef0123456789abcdef"
const create = { op: "create", key, id: -1, step: "sent", order: 1, todo: members, at: 0 } as const
const created = { ...create, id: 7, step: "saved", known: todo } as const

const openTabs = () => {
  const { signal } = new AbortController()
  const on = { ...platform, channel: createChannels() }
  const storage = memoryStorage()
  return () => openStore({ platform: on, storage, userId: 1, isLoggedIn: () => true, signal })
}

const shownBy = (store: Store) => store.list({}, "created_at").map((one) => [one.key, one.id])

test("a created todo that another leader has fetched before its answer is shown once, under its key", async () => {
  const store = await openTabs()()
  await store.edit((set) => set(key, [create]))
  await store.replace(undefined, synced, fetched)
  await store.edit((set) => set(key, [created]))
  expect(shownBy(store)).toEqual([[key, 7]])
  await store.edit((set) => set(key, []))
  expect(shownBy(store)).toEqual([[key, 7]])
  expect(store.get(store.keyOf(7))?.key).toBe(key)
})

test("a todo of which a tab that opened after a log-out has forgotten the key is shown once in every tab", async () => {
  const open = openTabs()
  const [old, isKept] = [await open(), async () => false]
  await old.edit((set) => set(key, [created]))
  await old.replace(undefined, synced, fetched)
  await old.edit((set) => set(key, []))
  expect(shownBy(old)).toEqual([[key, 7]])
  await old.clear("queue", isKept)
  const next = await open()
  await next.replace(undefined, synced, fetched)
  const changes = { base: members, seen: todo, todo: { title: "oats" } }
  const update = { op: "update", key: "1", id: 7, step: "new", order: 2, ...changes } as const
  await next.edit((set) => set("7", [update]))
  for (const store of [next, old]) {
    expect(shownBy(store)).toEqual([["7", 7]])
    expect(store.get("7")?.title).toBe("oats")
  }
})
