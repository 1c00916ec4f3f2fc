/** `client.todos.live()`: a replica that is in step, and takes edits whether online or not. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { ApiError, type Live, memoryStorage } from "../../src/client/index.ts"
import { fileStorage } from "../../src/client/storage/file.ts"
import {
  eventually,
  type LiveApp,
  type Reach,
  shareLiveApp,
  startLiveApp,
} from "../support/live.ts"
import { answerWith, problem } from "../support/portal.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const app = await shareLiveApp()

const titles = (live: Live) => live.list().map(({ title }) => title)
const isSettled = (live: Live) => live.status().pending === 0

/** A network that the test cuts, and that counts what passes. */
const createCable = () => {
  const paths: string[] = []
  const cable = { isCut: false, paths, through: (reach: Reach): Reach => reach }
  cable.through = (reach) => (path, init) => {
    if (cable.isCut) return Promise.reject(new TypeError("cut"))
    paths.push(path.split("?")[0] ?? "")
    return reach(path, init)
  }
  return cable
}

/** A todo that two devices know, and the cable of the one with a replica. */
const startPair = async (app: LiveApp) => {
  const account = await app.account()
  const cable = createCable()
  const [phone, desk] = [app.open(cable.through), app.open()]
  await phone.logIn(account)
  await desk.logIn(account)
  const live = await phone.todos.live()
  const { id } = await live.create({ title: "Buy milk" })
  await eventually(() => isSettled(live))
  return { cable, desk, live, id }
}

test("what one device does, the other shows", async () => {
  const account = await app.account()
  const [phone, desk] = [app.open(), app.open()]
  await phone.logIn(account)
  await desk.logIn(account)
  const [here, there] = [await phone.todos.live(), await desk.todos.live()]
  const { id } = await here.create({ title: "Buy milk" })
  expect(id).toBeLessThan(0)
  expect(here.get(id)).toMatchObject({ title: "Buy milk", is_pending: true })
  await eventually(() => titles(there).includes("Buy milk"))
  await eventually(() => isSettled(here))
  const [todo] = there.list()
  expect(todo).toMatchObject({ title: "Buy milk", description: null, is_pending: false })
  // Each device has a key of its own for it.
  const { key: _, ...same } = todo ?? { key: "" }
  expect(here.get(id)).toMatchObject(same)
  await there.update(todo?.id ?? 0, { is_completed: true })
  await eventually(() => here.get(id)?.is_completed === true)
  await here.delete(id)
  await eventually(() => there.list().length === 0)
  await expect(here.update(id, { title: "Oats" })).rejects.toThrow("TODO_NOT_FOUND")
})

test("a list is filtered and sorted as the service does it, and the same array until it changes", async () => {
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  for (const title of ["b", "\u{1F34E}", "\uFF5E", "a"]) await live.create({ title })
  await live.create({ title: "C", description: "an Apple", is_completed: true })
  await eventually(() => isSettled(live))
  for (const sort of ["created_at", "-created_at", "title", "-title"] as const) {
    const asked = await client.todos.list({ sort })
    expect(live.list({}, sort).map(({ id }) => id)).toEqual(asked.map(({ id }) => id))
  }
  expect(live.list({ is_completed: true }).map(({ title }) => title)).toEqual(["C"])
  expect(live.list({ q: "APPLE" }).map(({ title }) => title)).toEqual(["C"])
  const before = live.list({ is_completed: false }, "title")
  expect(live.list({ is_completed: false }, "title")).toBe(before)
  expect(live.status()).toBe(live.status())
  let calls = 0
  const stop = live.subscribe(() => calls++)
  await live.create({ title: "d" })
  expect(calls).toBeGreaterThan(0)
  expect(live.list({ is_completed: false }, "title")).not.toBe(before)
  stop()
})

test("an edit that the service must refuse is refused at once, with the same problem", async () => {
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  const { id } = await live.create({ title: "one" })
  const bad = ["", " \u0085", "x".repeat(255), "a\0", "\ud800"].map((title) => ({ title }))
  const odd: object[] = [{ title: 5 }, {}, { title: "a", is_completed: "yes" }]
  const long = { title: "", description: "\u{1F34E}".repeat(1000) }
  for (const todo of [...bad, ...odd, long] as { title: string }[]) {
    const [here, there] = await Promise.all(
      [live.create(todo), client.todos.create(todo)].map((made) => made.catch((error) => error)),
    )
    expect(here).toBeInstanceOf(ApiError)
    expect({ ...here }).toEqual({ ...there })
  }
  await expect(live.update(id, { title: "" })).rejects.toThrow("BAD_REQUEST")
  await expect(live.createMany([{ title: "good" }, { title: "" }])).rejects.toThrow("BAD_REQUEST")
  expect(titles(live)).toEqual(["one"])
  await live.create({ title: "\u{1F34E}".repeat(254), description: "x".repeat(999) })
  await eventually(() => isSettled(live))
  expect(live.notices()).toEqual([])
})

test("a member that is there, but undefined, stays as it is, as JSON leaves it out", async () => {
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  const { key } = await live.create({ title: "Buy milk", description: "Two litres" })
  const changes = { title: undefined, description: undefined, is_completed: true }
  await live.update(key, changes as object)
  const changed = { title: "Buy milk", description: "Two litres", is_completed: true }
  expect(live.list({ q: "milk" }, "title")).toMatchObject([changed])
  await eventually(() => isSettled(live))
  expect(live.list({ q: "litres" }, "title")).toMatchObject([changed])
})

test("a refused edit is undone and told, and blocks no other", async () => {
  await using app = await startLiveApp({ MAX_TODOS_PER_USER: "2" })
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  const [, , refused] = await live.createMany(["one", "two", "three"].map((title) => ({ title })))
  await eventually(() => isSettled(live) && live.list().length === 2)
  expect(titles(live)).toEqual(["one", "two"])
  expect(live.get(refused?.key ?? "")).toBeUndefined()
  const [notice] = live.notices()
  expect(live.notices().length).toBe(1)
  expect(notice).toMatchObject({
    kind: "refused",
    op: "create",
    error: { status: 403, error_code: "QUOTA_EXCEEDED" },
    last: { title: "three" },
  })
  expect(notice?.message).toStartWith("“three” could not be created: ")
  await live.dismiss(notice?.key ?? "")
  expect(live.notices()).toEqual([])
})

test("each refused edit is told, however many are", async () => {
  await using app = await startLiveApp({ MAX_TODOS_PER_USER: "1" })
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  await live.createMany(Array.from({ length: 1_102 }, (_, index) => ({ title: `${index}` })))
  await eventually(() => isSettled(live))
  expect(live.notices().length).toBe(1_101)
  expect(live.notices()[0]?.last.title).toBe("1")
})

test("what was typed one after the other stays so, in every sort, before and after it is sent", async () => {
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  const numbers = Array.from({ length: 250 }, (_, index) => `${index}`.padStart(3, "0"))
  const orders = () =>
    (["created_at", "updated_at", "title"] as const).flatMap((sort) => [
      live.list({}, sort),
      live.list({}, `-${sort}`).toReversed(),
    ])
  const seen = new Set<string>()
  live.subscribe(() => {
    for (const order of orders()) seen.add(order.map(({ title }) => title).join())
  })
  const made = numbers.slice(0, 125).map((title) => live.create({ title }))
  await Promise.all([...made, live.createMany(numbers.slice(125).map((title) => ({ title })))])
  const keys = live.list().map(({ key }) => key)
  await eventually(() => isSettled(live))
  expect([...seen].filter((order) => order !== numbers.slice(0, 125).join())).toEqual([
    numbers.join(),
  ])
  expect(live.list().map(({ key }) => key)).toEqual(keys)
})

test("a key stays the same when its todo is saved, in every tab and after a reload", async () => {
  const storage = memoryStorage()
  const [one, other] = [app.open(undefined, storage), app.open(undefined, storage)]
  await one.logIn(await app.account())
  const [live, tab] = [await one.todos.live(), await other.todos.live()]
  const made = await live.create({ title: "Buy milk" })
  expect(made.id).toBeLessThan(0)
  await eventually(() => isSettled(live) && isSettled(tab) && tab.list().length === 1)
  const reloaded = await app.open(undefined, storage).todos.live()
  for (const seen of [live, tab, reloaded]) {
    expect(seen.get(made.key)).toMatchObject({ key: made.key, title: "Buy milk" })
    expect(seen.get(made.key)?.id).toBeGreaterThan(0)
    expect(seen.list().map(({ key }) => key)).toEqual([made.key])
  }
  await reloaded.update(made.key, { title: "Oats" })
  await eventually(() => live.get(made.key)?.title === "Oats")
})

test("edits of different members are merged; of the same one theirs stays, and it is told", async () => {
  const { cable, desk, live, id } = await startPair(app)
  const saved = live.get(id)?.id ?? 0
  cable.isCut = true
  await live.update(id, { title: "Buy oats", is_completed: true })
  await desk.todos.update(saved, { title: "Buy rice", description: "Two bags" })
  cable.isCut = false
  await eventually(() => isSettled(live))
  const merged = { title: "Buy rice", description: "Two bags", is_completed: true }
  expect(live.get(id)).toMatchObject(merged)
  expect((await desk.todos.get(saved)).todo).toMatchObject(merged)
  expect(live.notices()).toMatchObject([
    {
      kind: "conflict",
      id: saved,
      members: [{ member: "title", base: "Buy milk", mine: "Buy oats", theirs: "Buy rice" }],
    },
  ])
})

test("an edit whose answer got lost is not made again over somebody who took it back", async () => {
  const account = await app.account()
  const cut = { batches: 0 }
  const [phone, desk] = [
    app.open((reach) => async (path, init) => {
      if (!path.endsWith("/batch")) return reach(path, init)
      cut.batches++
      const response = await reach(path, init)
      if (cut.batches !== 2) return response
      // Before the phone tries again.
      const [todo] = await desk.todos.list()
      await desk.todos.update(todo?.id ?? 0, { is_completed: false })
      throw new TypeError("lost")
    }),
    app.open(),
  ]
  await phone.logIn(account)
  await desk.logIn(account)
  const live = await phone.todos.live()
  const { id } = await live.create({ title: "Buy milk" })
  await eventually(() => isSettled(live))
  await live.update(id, { is_completed: true })
  await eventually(() => cut.batches === 3 && isSettled(live))
  expect(live.get(id)?.is_completed).toBe(false)
  expect((await desk.todos.list())[0]?.is_completed).toBe(false)
  expect(live.notices()).toEqual([])
})

test("a create whose answer got lost is shown once, under its key, where the next batch is smaller", async () => {
  let batches = 0
  const client = app.open((reach) => async (path, init) => {
    if (!path.endsWith("/batch")) return reach(path, init)
    batches++
    if (batches === 2) return answerWith(413, "html")
    const response = await reach(path, init)
    if (batches === 1) throw new TypeError("lost")
    return response
  })
  await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  const created = await live.createMany(["a", "b", "c"].map((title) => ({ title })))
  const shown = new Set<string>()
  live.subscribe(() => shown.add(titles(live).join()))
  await eventually(() => batches > 2 && isSettled(live))
  expect([...shown]).toEqual(["a,b,c"])
  expect(live.list().map(({ key }) => key)).toEqual(created.map(({ key }) => key))
})

test("what somebody else has changed is not deleted unseen", async () => {
  const { cable, desk, live, id } = await startPair(app)
  cable.isCut = true
  await live.delete(id)
  expect(live.list()).toEqual([])
  const [there] = await desk.todos.list()
  await desk.todos.update(there?.id ?? 0, { description: "For the cake" })
  cable.isCut = false
  await eventually(() => isSettled(live) && live.list().length === 1)
  expect(live.notices()).toMatchObject([{ kind: "conflict", op: "delete" }])
})

test("edits outlive the program that made them offline, and are sent once", async () => {
  using directory = temporaryDirectory()
  const cable = createCable()
  const start = () => app.open(cable.through, fileStorage(join(directory.path, "todos.json")))
  const first = start()
  await first.logIn(await app.account())
  const before = await first.todos.live()
  await before.create({ title: "online" })
  await eventually(() => isSettled(before))
  cable.isCut = true
  const { id } = await before.create({ title: "offline" })
  await before.update(id, { is_completed: true })
  await eventually(() => !before.status().is_online)
  first.close()

  const again = await start().todos.live()
  expect(titles(again)).toEqual(["online", "offline"])
  expect(again.status().pending).toBeGreaterThan(0)
  cable.isCut = false
  await eventually(() => isSettled(again) && again.status().is_online)
  expect(again.list()).toMatchObject([
    { title: "online", is_pending: false },
    { title: "offline", is_completed: true, is_pending: false },
  ])
})

test("tabs share one stream and one queue, and another goes on when the first is closed", async () => {
  const storage = memoryStorage()
  const [one, other] = [createCable(), createCable()]
  const tabs = [app.open(one.through, storage), app.open(other.through, storage)] as const
  await tabs[0].logIn(await app.account())
  const [first, second] = [await tabs[0].todos.live(), await tabs[1].todos.live()]
  await second.create({ title: "from the second" })
  await eventually(() => isSettled(first) && isSettled(second) && titles(first).length === 1)
  expect(titles(second)).toEqual(["from the second"])
  expect(other.paths).toEqual([])
  expect(one.paths.filter((path) => path.endsWith("/events")).length).toBe(1)
  tabs[0].close()
  await second.create({ title: "from the second, alone" })
  await eventually(() => isSettled(second))
  expect(other.paths).toContain("/api/v1/todos/events")
})

test("where no stream passes, it asks with answers that wait", async () => {
  const account = await app.account()
  const preferences: string[] = []
  const held = app.open((reach) => (path, init) => {
    const prefer = new Headers(init.headers).get("prefer")
    if (prefer !== null) preferences.push(prefer)
    if (!path.endsWith("/events")) return reach(path, init)
    // As a proxy does that waits for the end.
    return new Promise((_, reject) =>
      init.signal?.addEventListener("abort", () => reject(init.signal?.reason)),
    )
  })
  const desk = app.open()
  await held.logIn(account)
  await desk.logIn(account)
  const live = await held.todos.live()
  await eventually(() => preferences.length > 0)
  expect(preferences[0]).toBe("wait=30")
  await desk.todos.create({ title: "Buy milk" })
  await eventually(() => titles(live).includes("Buy milk"))
})

test("a state that is too old is started again from the beginning", async () => {
  const account = await app.account()
  const storage = memoryStorage()
  const first = app.open(undefined, storage)
  await first.logIn(account)
  const before = await first.todos.live()
  await before.create({ title: "gone" })
  await eventually(() => isSettled(before))
  first.close()
  const desk = app.open()
  await desk.logIn(account)
  for (const { id } of await desk.todos.list()) await desk.todos.delete(id)
  await desk.todos.create({ title: "new" })

  const expired = { error_code: "CHANGES_EXPIRED", status: 410, detail: "Too old" }
  let refusals = 0
  const late = app.open(
    (reach) => (path, init) => {
      if (!path.includes("since=") || refusals++ > 0) return reach(path, init)
      return Promise.resolve(problem(expired))
    },
    storage,
  )
  const live = await late.todos.live()
  expect(titles(live)).toEqual(["gone"])
  await eventually(() => titles(live).join() === "new")
})

test("what one user has not sent is not sent as another, and waits for them", async () => {
  const storage = memoryStorage()
  const cable = createCable()
  const client = app.open(cable.through, storage)
  const [ada, bob] = [await app.account(), await app.account()]
  await client.logIn(ada)
  const hers = await client.todos.live()
  await eventually(() => hers.status().is_online)
  cable.isCut = true
  await hers.create({ title: "Ada's" })
  await client.logOut({ pending: "keep" })
  await expect(client.todos.live()).rejects.toThrow("UNAUTHORIZED")
  cable.isCut = false
  await client.logIn(bob)
  const his = await client.todos.live()
  await his.create({ title: "Bob's" })
  await eventually(() => isSettled(his))
  expect(titles(his)).toEqual(["Bob's"])
  await client.logOut()
  await client.logIn(ada)
  const again = await client.todos.live()
  await eventually(() => isSettled(again))
  expect(titles(again)).toEqual(["Ada's"])
})

test("a replica that another tab's log-out removed is there again after the next login", async () => {
  const storage = memoryStorage()
  const [first, second] = [app.open(undefined, storage), app.open(undefined, storage)]
  const account = await app.account()
  await first.logIn(account)
  const leading = await first.todos.live()
  await leading.create({ title: "Buy milk" })
  await eventually(() => leading.status().pending === 0 && leading.list().length === 1)
  await second.todos.live()

  await second.logOut()
  await eventually(() => leading.list().length === 0)
  await second.logIn(account)
  const live = await second.todos.live()
  await eventually(() => live.list().length === 1 && leading.list().length === 1)
})

test("a replica that the browser removes during a fetch is fetched anew", async () => {
  const storage = memoryStorage()
  const waiting: (() => void)[] = []
  let isHeld = false
  const client = app.open(
    (reach) => async (path, init) => {
      const response = await reach(path, init)
      if (isHeld && path.includes("/changes"))
        await new Promise<void>((resolve) => waiting.push(resolve))
      return response
    },
    storage,
    1,
  )
  await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  await client.todos.create({ title: "Buy milk" })
  await eventually(() => live.list().length === 1)
  isHeld = true
  await client.todos.create({ title: "Buy oats" })
  await eventually(() => waiting.length > 0)
  const stored = await storage.read("replica:")
  await storage.write(new Map([...stored.keys()].map((key) => [key, undefined])))
  isHeld = false
  for (const go of waiting) go()
  await eventually(() => live.list().length === 2 && live.status().has_synced)
})
