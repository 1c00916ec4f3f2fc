/**
 * A writer: it does whatever a client can do to todos, and writes down what it was told. nginx and
 * it itself repeat what may have been done already, so a 404 or 412 may be of its own success.
 */
import type { Answer, User } from "../client.ts"
import { createCounter } from "./counter.ts"
import type { Held, Ledger } from "./ledger.ts"
import type { Tally } from "./tally.ts"

/** Of each writer, so that lists stay short enough to be compared. */
const MOST_TODOS = 20
/** Between two changes: some people who think. */
const PAUSE_MS = 40

type Calls = Pick<User, "get" | "post" | "put" | "patch" | "delete">
type Result = { status: number; todo?: Held }
type Operation = { op: keyof typeof DONE; if_match?: string; [member: string]: unknown }

const DONE = { create: [201], update: [200], delete: [204, 404] }

export const startWriter = (name: string, user: Calls, ledger: Ledger, tally: Tally) => {
  const mine: number[] = []
  let isOver = false
  let count = 0

  const expectStatus = (statuses: number[], { status, text }: Pick<Answer, "status" | "text">) => {
    if (!statuses.includes(status)) tally.report(`${name}: ${status} ${text}`)
    if (status < 300) tally.counts.acknowledged++
    return status
  }
  const send = async (statuses: number[], call: () => Promise<Answer>) => {
    const answer = await tally.steadily(call)
    expectStatus(statuses, answer)
    return answer
  }
  const counter = createCounter(name, user, ledger, send, tally)
  const pick = (ids: number[]) => ids[Math.floor(Math.random() * ids.length)]
  const path = (id: number) => `/todos/${id}`
  const newTodo = () => ({ title: `${name}-${++count}`, description: `${count}` })

  const keep = (todo: Held) => {
    ledger.add(todo)
    mine.push(todo.id)
  }
  const change = (id: number, description: string) => {
    const known = ledger.created.get(id)
    if (known) known.description = description
  }
  /** No longer one of those that it changes, and gone by an answer that comes later. */
  const takeOldest = () => (mine.length > MOST_TODOS ? mine.shift() : undefined)

  const create = async () => {
    const todo = newTodo()
    const key = { "idempotency-key": todo.title }
    const { body } = await send([201], () => user.post("/todos", todo, key))
    keep(body as Held)
  }

  const update = async () => {
    const id = pick(mine)
    if (id === undefined) return
    const description = `${++count}`
    await send([200], () => user.patch(path(id), { description }))
    change(id, description)
  }

  const remove = async () => {
    for (let id = takeOldest(); id !== undefined; id = takeOldest()) {
      const url = path(id)
      await send([204, 404], () => user.delete(url))
      ledger.deleted.add(id)
    }
  }

  /** Of any writer's, under a condition: it may be overtaken. */
  const toggle = async () => {
    const id = pick(ledger.alive())
    if (id === undefined) return
    const { status, headers, body } = await tally.steadily(() => user.get(path(id)))
    if (status === 404) return
    const etag = { "if-match": headers.get("etag") ?? "" }
    const changes = { is_completed: !(body as Held).is_completed }
    await send([200, 404, 412], () => user.put(path(id), changes, etag))
  }

  /** Whatever is in it may be repeated. `isRefused`: by its last operation. */
  const batch = async (atomic: boolean, isRefused: boolean) => {
    const creates = [newTodo(), newTodo(), newTodo()].map((todo) => ({
      op: "create" as const,
      todo,
      key: todo.title,
    }))
    const deleted = atomic ? undefined : takeOldest()
    // Never the deleted one: after a lost answer the batch is repeated, and would not find it.
    const changed = pick(mine)
    const description = `${++count}`
    const operations: Operation[] = [...creates]
    if (changed !== undefined) operations.push({ op: "update", id: changed, todo: { description } })
    if (deleted !== undefined) operations.push({ op: "delete", id: deleted })
    if (isRefused)
      operations.push({ op: "update", id: ledger.counter, todo: { title: "no" }, if_match: '"0"' })
    const isUndone = atomic && isRefused
    const { body } = await send([isUndone ? 409 : 200], () =>
      user.post("/todos/batch", { operations, atomic }),
    )
    if (isUndone) return
    const { results } = body as { results: Result[] }
    for (const [index, { op, if_match }] of operations.entries()) {
      const { status = 0, todo } = results[index] ?? {}
      expectStatus(if_match ? [412] : DONE[op], { status, text: `to ${op} in a batch` })
      if (op === "create" && todo) keep(todo)
    }
    if (changed !== undefined) change(changed, description)
    if (deleted !== undefined) ledger.deleted.add(deleted)
  }

  const steps = [
    create,
    create,
    update,
    update,
    remove,
    toggle,
    counter.increment,
    counter.incrementOnce,
    () => batch(false, false),
    () => batch(false, true),
    () => batch(true, false),
    () => batch(true, true),
  ]

  const run = async () => {
    while (!isOver) {
      await steps[Math.floor(Math.random() * steps.length)]?.()
      await Bun.sleep(Math.random() * 2 * PAUSE_MS)
    }
  }
  const ended = run()
  return {
    async stop() {
      isOver = true
      await ended
    },
  }
}
