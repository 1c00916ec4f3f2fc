/** The storage of React Native, on an implementation of AsyncStorage's five functions. */
import { expect, test } from "bun:test"
import { type AsyncStorage, asyncStorage } from "../../src/client/storage/async-storage.ts"
import { eventually, type Reach, startLiveApp } from "../support/live.ts"

/** As the library does it: texts, and every call takes a while. */
const createItems = () => {
  const items = new Map<string, string>([["of the app", "its own"]])
  const later = async <T>(run: () => T) => {
    await Bun.sleep(1)
    return run()
  }
  const functions: AsyncStorage = {
    getItem: (key) => later(() => items.get(key) ?? null),
    getAllKeys: () => later(() => [...items.keys()]),
    multiGet: (keys) => later(() => keys.map((key) => [key, items.get(key) ?? null] as const)),
    multiSet: (pairs) => later(() => pairs.forEach(([key, text]) => void items.set(key, text))),
    multiRemove: (keys) => later(() => keys.forEach((key) => void items.delete(key))),
  }
  return { items, functions }
}

test("edits outlive the app that made them offline, and nothing of the app's own is touched", async () => {
  await using app = await startLiveApp()
  const { items, functions } = createItems()
  let isCut = false
  const start = () =>
    app.open(
      (reach: Reach) => (path, init) =>
        isCut ? Promise.reject(new TypeError("cut")) : reach(path, init),
      asyncStorage(functions),
    )
  const first = start()
  const account = await app.account()
  await first.logIn(account)
  const live = await first.todos.live()
  const { key } = await live.create({ title: "online" })
  await eventually(() => live.status().pending === 0)
  isCut = true
  await live.update(key, { is_completed: true })
  await live.create({ title: "offline" })
  await live.delete((await live.create({ title: "deleted" })).key)
  // Until the leader has found out that it is offline it marks what it sends.
  await eventually(() => live.status().is_stored)
  expect(live.status().is_persistent).toBe(true)
  first.close()

  const again = await start().todos.live()
  expect(again.list()).toMatchObject([
    { key, title: "online", is_completed: true },
    { title: "offline" },
  ])
  isCut = false
  again.retry()
  await eventually(() => again.status().pending === 0)
  const second = start()
  expect((await second.todos.list()).map(({ title }) => title)).toEqual(["online", "offline"])
  await second.logOut()
  expect([...items]).toEqual([["of the app", "its own"]])
})

test("a write under a guard that does not hold writes nothing", async () => {
  const { functions } = createItems()
  const storage = asyncStorage(functions)
  const write = (version: string, guard: string | undefined) =>
    storage.write(new Map([["version", version]]), new Map([["version", guard]]))
  const [first, second] = await Promise.all([write("1", undefined), write("2", undefined)])
  expect([first, second]).toEqual([true, false])
  expect(await storage.read("")).toEqual(new Map([["version", "1"]]))
})
