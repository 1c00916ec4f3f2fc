/** The adapter of the README for TanStack Query, as a front end uses it. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { MutationObserver, QueryClient, QueryObserver } from "@tanstack/query-core"
import { eventually, startLiveApp } from "../support/live.ts"
import {
  createTodo,
  deleteTodo,
  follow,
  todosQuery,
  updateTodo,
} from "./examples/tanstack-query.ts"

test("it is short enough to be read before it is copied", () => {
  const text = readFileSync(join(import.meta.dir, "examples", "tanstack-query.ts"), "utf8")
  expect(text.split("\n").length).toBeLessThan(60)
})

test("a query follows the replica, and mutations show at once", async () => {
  await using app = await startLiveApp()
  const client = app.open()
  await client.logIn(await app.account())
  const live = await client.todos.live()
  const queries = new QueryClient()
  const stop = follow(queries, live)
  const shown = new QueryObserver(queries, todosQuery(live, { is_completed: false }, "title"))
  const end = shown.subscribe(() => {})
  const titles = () => shown.getCurrentResult().data?.map(({ title }) => title)

  const { key } = await new MutationObserver(queries, createTodo(live)).mutate({ title: "b" })
  await new MutationObserver(queries, createTodo(live)).mutate({ title: "a" })
  await eventually(() => titles()?.join() === "a,b")
  await new MutationObserver(queries, updateTodo(live)).mutate({ key, is_completed: true })
  await eventually(() => titles()?.join() === "a")
  await new MutationObserver(queries, deleteTodo(live)).mutate(live.list({ q: "a" })[0]?.key ?? "")
  await eventually(() => titles()?.length === 0 && live.status().pending === 0)
  end()
  stop()
})
