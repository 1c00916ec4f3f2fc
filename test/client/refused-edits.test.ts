/** What becomes of the edits behind one that the service refuses. */
import { expect, test } from "bun:test"
import type { Delete, Members, Operation, Update } from "../../src/client/live/model.ts"
import { refuse } from "../../src/client/live/settle.ts"
import { eventually, type Reach, shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()
const before = { title: "milk", description: null, is_completed: false }
const common = { id: 1, step: "new", order: 1 } as const

const edit = (key: string, base: Partial<Members>, todo: Partial<Members>): Update => ({
  ...{ ...common, key, op: "update", base, todo },
  seen: before,
})
const deletion = (base: Partial<Members>): Delete => ({
  ...{ ...common, key: "deletion", op: "delete", at: 0 },
  base: { ...before, ...base },
})

/** The bases of the others, after one was refused. */
const basesAfterRefusal = (edits: readonly Operation[], refused = edits[0]) => {
  if (!refused) throw new Error("Nothing to refuse")
  const [left, notices = []] = refuse("1", edits, refused, undefined)
  expect(notices.map(({ kind }) => kind)).toEqual(["refused"])
  return left.map((one) => ("base" in one ? one.base : undefined))
}

test("those that were based on it are based on what was there before, the others stay as they are", () => {
  const titles = [
    edit("1", { title: "milk" }, { title: "?" }),
    edit("2", { title: "?" }, { title: "tea" }),
    edit("of another tab", { title: "?" }, { title: "oats" }),
    edit("3", { title: "tea" }, { title: "green tea" }),
  ]
  expect(basesAfterRefusal(titles)).toEqual([
    { title: "milk" },
    { title: "milk" },
    { title: "tea" },
  ])
})

test("what another edit made again is the base of those after it", () => {
  const toggles = [
    edit("1", { is_completed: false }, { is_completed: true }),
    edit("2", { is_completed: true }, { is_completed: false }),
    edit("3", { is_completed: false }, { is_completed: true }),
    edit("4", { is_completed: true }, { is_completed: false }),
  ]
  expect(basesAfterRefusal(toggles).map((base) => base?.is_completed)).toEqual([false, false, true])
})

test("what was saved before it makes nothing again", () => {
  const saved: Update = { ...edit("1", { title: "milk" }, { title: "?" }), step: "saved" }
  const refused = edit("2", { title: "oats" }, { title: "?" })
  const edits = [saved, refused, edit("3", { title: "?" }, { title: "tea" })]
  expect(basesAfterRefusal(edits, refused)).toEqual([{ title: "milk" }, { title: "oats" }])
})

test("a deletion is based on what was there before, too", () => {
  const first = edit("1", { title: "milk" }, { title: "?" })
  expect(basesAfterRefusal([first, deletion({ title: "?" })])).toEqual([before])
})

test("those behind an update are sent on the version that it was based on", () => {
  const first: Update = { ...edit("1", { title: "milk" }, { title: "?" }), etag: '"1"' }
  const [[next] = []] = refuse("1", [first, edit("2", {}, {})], first, undefined)
  expect(next?.etag).toBe('"1"')
})

test("those behind a create are refused with it, and each is reported", () => {
  const create: Operation = { ...common, key: "milk", op: "create", todo: before, at: 0 }
  const renamed = edit("tea", { title: "milk" }, { title: "tea" })
  const [edits, notices = []] = refuse("milk", [create, renamed], create, undefined)
  expect(edits).toEqual([])
  expect(notices.map(({ op }) => op)).toEqual(["create", "update"])
})

/** A service with a newer rule, which refuses one title, until it is let go, and is then changed elsewhere. */
const startRefused = async () => {
  const account = await app.account()
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const holding = { isReached: false }
  const refusing =
    (reach: Reach): Reach =>
    async (path, init) => {
      const body = String(init.body)
      if (!body.includes('"title":"taboo"')) return reach(path, init)
      holding.isReached = true
      await released
      return reach(path, { ...init, body: body.replace('"title":"taboo"', '"title":""') })
    }
  const [phone, desk] = [app.open(refusing), app.open()]
  await phone.logIn(account)
  await desk.logIn(account)
  const live = await phone.todos.live()
  const { key } = await live.create({ title: "milk" })
  await eventually(() => live.status().pending === 0)
  await live.update(key, { title: "taboo" })
  await eventually(() => holding.isReached)
  return { desk, live, key, id: live.get(key)?.id ?? 0, release }
}

test("a name behind a refused one is kept, though another device has changed something else", async () => {
  const { desk, live, key, id, release } = await startRefused()
  await live.update(key, { title: "oats" })
  await desk.todos.update(id, { description: "two bags" })
  release()
  await eventually(() => live.status().pending === 0)
  const merged = { title: "oats", description: "two bags" }
  expect(live.get(key)).toMatchObject(merged)
  expect((await desk.todos.get(id)).todo).toMatchObject(merged)
  expect(live.notices().map(({ kind, todo }) => [kind, todo])).toEqual([
    ["refused", { title: "taboo" }],
  ])
})

test("a deletion behind a refused name is no conflict with anybody", async () => {
  const { desk, live, key, id, release } = await startRefused()
  await live.delete(key)
  // Changed, and changed back: another version with the same content.
  await desk.todos.update(id, { is_completed: true })
  await desk.todos.update(id, { is_completed: false })
  release()
  await eventually(() => live.status().pending === 0)
  expect(live.get(key)).toBeUndefined()
  expect(await desk.todos.list()).toEqual([])
  expect(live.notices().map(({ kind, op }) => [kind, op])).toEqual([["refused", "update"]])
})
