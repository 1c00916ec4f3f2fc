/** The adapters of the README, as a front end uses them. */
import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { MutationObserver, QueryClient, QueryObserver } from "@tanstack/query-core"
import { createElement } from "react"
import { renderToString } from "react-dom/server"
import type { Live } from "../../src/client/index.ts"
import { eventually, startLiveApp } from "../support/live.ts"
import { useNotices, useStatus, useTodos } from "./examples/react.ts"
import {
  createTodo,
  deleteTodo,
  follow,
  todosQuery,
  updateTodo,
} from "./examples/tanstack-query.ts"

const directory = join(import.meta.dir, "examples")

test("each is short enough to be read before it is copied", () => {
  for (const file of readdirSync(directory))
    expect(readFileSync(join(directory, file), "utf8").split("\n").length).toBeLessThan(60)
})

test("a query follows the copy, and mutations show at once", async () => {
  await using app = await startLiveApp()
  const client = app.open()
  await client.register(app.newAccount())
  const live = await client.todos.live()
  const queries = new QueryClient()
  const stop = follow(queries, live)
  const shown = new QueryObserver(queries, todosQuery(live, { is_completed: false }, "title"))
  const end = shown.subscribe(() => {})
  const titles = () => shown.getCurrentResult().data?.map(({ title }) => title)

  const { id } = await new MutationObserver(queries, createTodo(live)).mutate({ title: "b" })
  await new MutationObserver(queries, createTodo(live)).mutate({ title: "a" })
  await eventually(() => titles()?.join() === "a,b")
  await new MutationObserver(queries, updateTodo(live)).mutate({ id, is_completed: true })
  await eventually(() => titles()?.join() === "a")
  await new MutationObserver(queries, deleteTodo(live)).mutate(live.list({ q: "a" })[0]?.id ?? 0)
  await eventually(() => titles()?.length === 0 && live.status().pending === 0)
  end()
  stop()
})

const List = ({ live }: { live: Live }) => {
  const todos = useTodos(live, {}, "title")
  const { pending } = useStatus(live)
  const notices = useNotices(live)
  return createElement(
    "p",
    null,
    todos.map(({ title }) => title).join(),
    "/",
    pending,
    "/",
    notices.length,
  )
}

test("a component renders the copy", async () => {
  await using app = await startLiveApp()
  const client = app.open()
  await client.register(app.newAccount())
  const live = await client.todos.live()
  const rendered = () => renderToString(createElement(List, { live })).replaceAll("<!-- -->", "")
  const stored = live.create({ title: "Buy milk" })
  expect(rendered()).toBe("<p>Buy milk/1/0</p>")
  await stored
  await eventually(() => rendered() === "<p>Buy milk/0/0</p>")
})
