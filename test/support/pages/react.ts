/** A page of the React example, as test/system/react-page.test.ts bundles it. */
import { createElement, StrictMode, useRef } from "react"
import { type Container, createRoot } from "react-dom/client"
import { createClient, type Live } from "../../../src/client/index.ts"
import { useNotices, useStatus, useTodo, useTodos } from "../../client/examples/react.ts"

type Account = { email: string; password: string }
const page = globalThis as unknown as {
  document: { body: Container }
  start: (url: string, account: Account) => Promise<void>
  live: Live
}

const Item = ({ live, id }: { live: Live; id: number }) => {
  const todo = useTodo(live, id)
  return createElement("li", null, todo?.is_completed ? "[x] " : "[ ] ", todo?.title)
}

const List = ({ live }: { live: Live }) => {
  const todos = useTodos(live, {}, "title")
  const { pending, is_online } = useStatus(live)
  const notices = useNotices(live)
  const renders = useRef(0)
  renders.current++
  return [
    createElement(
      "ul",
      { key: "list" },
      todos.map(({ id }) => createElement(Item, { key: id, live, id })),
    ),
    createElement("output", { key: "status" }, `${pending} ${is_online} ${notices.length}`),
    createElement("data", { key: "renders" }, renders.current),
  ]
}

page.start = async (url, account) => {
  const client = createClient({ url })
  await client.register(account)
  page.live = await client.todos.live()
  const list = createElement(List, { live: page.live })
  createRoot(page.document.body).render(createElement(StrictMode, null, list))
}
