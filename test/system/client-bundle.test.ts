/** The module as it is published: compressed, and with short names. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { bundle } from "../../.ci/build-client.ts"
import { shortened } from "../../.ci/short-names.ts"
import * as source from "../../src/client/index.ts"
import { eventually, type LiveApp, startLiveApp } from "../support/live.ts"
import { temporaryDirectory } from "../support/temporary.ts"

/** The names of all members, however deep. */
const membersIn = (value: unknown): string[] => {
  if (typeof value !== "object" || value === null) return []
  const names = Array.isArray(value) ? [] : Object.keys(value)
  return [...names, ...Object.values(value).flatMap(membersIn)]
}

/** Two tabs of a user, who does a little of everything. Returns the names of what is stored and given. */
const tellNames = async (client: typeof source, app: LiveApp) => {
  const told: unknown[] = []
  const memory = client.memoryStorage()
  const storage: source.Storage = {
    ...memory,
    write: (values, guard) => {
      told.push(...values.values())
      return memory.write(values, guard)
    },
  }
  const options = { url: app.url, storage }
  const [one, tab] = [client.createClient(options), client.createClient(options)]
  const { email } = await one.register(app.newAccount())
  expect(await tab.user()).toMatchObject({ email })
  const live = await one.todos.live({ until: "synced" })
  const other = await tab.todos.live({ until: "synced" })
  const [milk, tea] = await live.createMany([{ title: "milk" }, { title: "tea" }])
  const isSettled = () => live.status().pending + other.status().pending === 0
  await eventually(() => isSettled() && other.list().length === 2)
  await live.update(milk?.key ?? "", { is_completed: true })
  const undo = await other.delete(tea?.key ?? "")
  await eventually(isSettled)
  expect(other.list().map(({ title, is_completed }) => [title, is_completed])).toEqual([
    ["milk", true],
  ])
  await undo()
  await eventually(() => live.list({ q: "TEA" }).length === 1 && isSettled())
  const todos = await one.todos.list({ sort: "title" })
  expect(todos.map(({ title }) => title)).toEqual(["milk", "tea"])
  await live.create({ title: "one too many" })
  await eventually(() => live.notices().length === 1)
  await live.delete(tea?.key ?? "")
  await eventually(isSettled)
  told.push(one, one.todos, live, live.status(), live.list(), await live.deleted(), live.notices())
  for (const refused of [live.create({ title: "" }), one.todos.get(1000)]) {
    const error = await refused.catch((error) => error)
    expect(error).toBeInstanceOf(client.ApiError)
    told.push(error)
  }
  await one.logOut()
  expect(await tab.user()).toBeUndefined()
  for (const each of [one, tab]) each.close()
  return [...new Set(membersIn(told))].sort()
}

test("what is built does what its source does, and stores and gives it by the same names", async () => {
  using directory = temporaryDirectory()
  await bundle(directory.path)
  await using app = await startLiveApp({ MAX_TODOS_PER_USER: "2" })
  const built = await tellNames(await import(join(directory.path, "index.js")), app)
  expect(built.length).toBeGreaterThan(40)
  expect(built).toEqual(await tellNames(source, app))
}, 60_000)

test("a short name hides nothing that is used within its reach", async () => {
  const text = `
    const value = 1
    export const sum = (value, { value: other }) => {
      const inner = (next) => { let value = next + other; { let next = value; return () => next + 1 } }
      try { throw value } catch (value) { return [inner(value)(), Map.name, outer()] }
    }
    function outer() { return value }
    export class Named { static first = [value].map((one) => one + value) }`
  using directory = temporaryDirectory()
  const file = join(directory.path, "short.js")
  await Bun.write(file, await shortened(text))
  const { sum, Named } = await import(file)
  expect(sum(10, { value: 5 })).toEqual([16, "Map", 1])
  expect(Named.first).toEqual([2])
})
