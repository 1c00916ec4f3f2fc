/** The module as it is published: compressed, and with short names. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { bundle } from "../../.ci/build-client.ts"
import { shortened } from "../../.ci/short-names.ts"
import { eventually, startLiveApp } from "../support/live.ts"
import { temporaryDirectory } from "../support/temporary.ts"

test("what is built does what its source does", async () => {
  using directory = temporaryDirectory()
  await bundle(directory.path)
  const built: typeof import("../../src/client/index.ts") = await import(
    join(directory.path, "index.js")
  )
  await using app = await startLiveApp()
  const [storage, url] = [built.memoryStorage(), app.url]
  const [client, tab] = [built.createClient({ url, storage }), built.createClient({ url, storage })]
  const { email } = await client.register(app.newAccount())
  expect(await tab.user()).toMatchObject({ email })
  const live = await client.todos.live({ until: "synced" })
  const other = await tab.todos.live({ until: "synced" })
  const [milk, tea] = await live.createMany([{ title: "milk" }, { title: "tea" }])
  await live.update(milk?.key ?? "", { is_completed: true })
  const undo = await other.delete(tea?.key ?? "")
  await eventually(() => live.status().pending + other.status().pending === 0)
  expect(other.list().map(({ title, is_completed }) => [title, is_completed])).toEqual([
    ["milk", true],
  ])
  await undo()
  await eventually(() => live.list({ q: "TEA" }).length === 1 && live.status().pending === 0)
  expect((await client.todos.list({ sort: "title" })).map(({ title }) => title)).toEqual([
    "milk",
    "tea",
  ])
  for (const refused of [live.create({ title: "" }), client.todos.get(1000)])
    expect(await refused.catch((error) => error)).toBeInstanceOf(built.ApiError)
  await client.logOut()
  expect(await tab.user()).toBeUndefined()
  for (const one of [client, tab]) one.close()
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
