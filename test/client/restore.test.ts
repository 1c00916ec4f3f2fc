/** Deleted todos come back: by the undo of a deletion, by their key, and out of the trash. */
import { expect, test } from "bun:test"
import { type Live, memoryStorage } from "../../src/client/index.ts"
import { eventually, type LiveApp, type Reach, shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()

const isSettled = (live: Live) => live.status().pending === 0

/** Two tabs of a browser, with a todo, and the operations that they send. */
const startTabs = async (app: LiveApp) => {
  const storage = memoryStorage()
  const network = { isCut: false, held: Promise.resolve(), sent: [] as string[], isFetching: false }
  const through = (reach: Reach) => async (path: string, init: RequestInit) => {
    if (network.isCut) throw new TypeError("cut")
    network.isFetching ||= path.includes("/changes")
    await network.held
    if (path.endsWith("/batch"))
      for (const { op } of JSON.parse(String(init.body)).operations) network.sent.push(op)
    return reach(path, init)
  }
  const [one, other] = [app.open(through, storage), app.open(through, storage)]
  await one.logIn(await app.account())
  const [live, tab] = [await one.todos.live(), await other.todos.live()]
  const { key } = await live.create({ title: "Buy milk", description: "Two litres" })
  await eventually(() => isSettled(live) && tab.list().length === 1 && isSettled(tab))
  network.sent.length = 0
  const reload = () => app.open(through, storage).todos.live()
  return { client: one, live, tab, key, network, reload }
}

test("an undo before the deletion was sent sends nothing, in any tab", async () => {
  const { client, live, tab, key, network } = await startTabs(app)
  // The leader waits for changes, and so sends nothing: what it fetched before has come.
  let release = () => {}
  network.held = new Promise((resolve) => {
    release = resolve
  })
  network.isFetching = false
  live.retry()
  await eventually(() => network.isFetching)
  const undo = await live.delete(key)
  expect(live.list()).toEqual([])
  await undo()
  expect(live.get(key)).toMatchObject({ title: "Buy milk", is_pending: false })
  await live.delete(key)
  await eventually(() => tab.list().length === 0)
  await tab.restore(key)
  await eventually(() => live.list().length === 1)
  const { key: unsaved } = await live.create({ title: "Oats" })
  const undoOfUnsaved = await live.deleteMany([unsaved, key])
  expect(live.list()).toEqual([])
  await undoOfUnsaved()
  expect(live.list().map(({ title }) => title)).toEqual(["Buy milk", "Oats"])
  release()
  await eventually(() => isSettled(live))
  expect(network.sent).toEqual(["create"])
  expect((await client.todos.list()).length).toBe(2)
})

test("an undo after the deletion was sent restores the todo as it was, with its key and its id", async () => {
  const { client, live, tab, key, network } = await startTabs(app)
  const before = live.get(key)
  const undo = await live.delete(key)
  await eventually(() => isSettled(live) && tab.list().length === 0)
  expect(await client.todos.list()).toEqual([])
  network.isCut = true
  await undo()
  await undo()
  expect(live.get(key)).toMatchObject({ title: "Buy milk", is_pending: true })
  await live.update(key, { is_completed: true })
  network.isCut = false
  live.retry()
  await eventually(() => isSettled(live) && isSettled(tab) && tab.list().length === 1)
  const { id, created_at } = before ?? { id: 0, created_at: "" }
  const same = { key, id, created_at, description: "Two litres", is_completed: true }
  for (const seen of [live, tab]) expect(seen.get(key)).toMatchObject(same)
  expect(network.sent).toEqual(["delete", "restore", "update"])
  expect(live.notices()).toEqual([])
})

test("the trash is what the service has and what is not sent yet, and can be restored", async () => {
  const { client, live, tab, key, network } = await startTabs(app)
  const { key: other } = await live.create({ title: "Oats" })
  await live.delete(key)
  await eventually(() => isSettled(live) && isSettled(tab))
  expect(await tab.deleted()).toMatchObject([{ key, title: "Buy milk", description: "Two litres" }])
  await live.delete(other)
  expect((await live.deleted()).map(({ title }) => title)).toEqual(["Oats", "Buy milk"])
  const [, first] = await tab.deleted()
  await tab.restore(first?.key ?? "")
  expect(tab.list().map(({ title }) => title)).toEqual(["Buy milk"])
  await eventually(() => isSettled(tab) && isSettled(live))
  expect((await tab.deleted()).map(({ title }) => title)).toEqual(["Oats"])
  expect((await client.todos.list()).map(({ title }) => title)).toEqual(["Buy milk"])
  network.isCut = true
  expect(await live.deleted().catch(({ error_code }) => error_code)).toBe("NETWORK_ERROR")
})

test("a key outlives the deletion of its todo, a reload, and what restores it", async () => {
  const { client, live, tab, key, network, reload } = await startTabs(app)
  const { id = 0 } = live.get(key) ?? {}
  await live.delete(key)
  await eventually(() => isSettled(live) && isSettled(tab))
  client.close()
  const reloaded = await reload()
  expect(await reloaded.deleted()).toMatchObject([{ key, id }])
  const again = await reload()
  network.isCut = true
  await again.restore(key)
  network.isCut = false
  again.retry()
  await eventually(() => [reloaded, tab, again].every((one) => one.get(key)?.is_pending === false))
  for (const one of [reloaded, tab, again])
    expect(one.list()).toMatchObject([{ key, id, title: "Buy milk" }])
})

test("what cannot be restored any more is told", async () => {
  const { client, live, key } = await startTabs(app)
  const undo = await live.delete(key)
  await eventually(() => isSettled(live))
  await client.call("delete", "/api/v1/todos/deleted")
  await undo()
  await eventually(() => isSettled(live) && live.notices().length === 1)
  expect(live.list()).toEqual([])
  expect(live.notices()[0]?.message).toStartWith("“Buy milk” could not be restored: ")
  for (const none of ["no such key", "", 0, -5])
    await expect(live.restore(none)).rejects.toThrow("TODO_NOT_FOUND")
})
