/** Batches: many operations in one transaction, each of which does what its single request would do. */
import { expect, test } from "bun:test"
import { randomInt } from "node:crypto"
import { patiently, type User } from "../support/client.ts"
import { Replica } from "../support/replica.ts"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

const { app, sql } = await shareApp()

type Todo = { id: number; title: string; description: string | null; is_completed: boolean }
type Result = {
  status: number
  etag?: string
  todo?: Todo
  replayed?: boolean
  error?: { error_code: string; status: number }
}

const send = async (user: User, operations: unknown[], more: object = {}) => {
  const { status, body } = await user.post("/todos/batch", { operations, ...more })
  return { status, body, results: (body as { results?: Result[] }).results ?? [] }
}
const create = async (user: User, title = "milk") => {
  const { body, headers } = await user.post("/todos", { title })
  return { ...(body as Todo), etag: headers.get("etag") ?? "" }
}
const list = async (user: User) => (await user.get("/todos")).body as Todo[]
const titles = async (user: User) => (await list(user)).map(({ title }) => title)

test("each operation does what its single request does, in turn", async () => {
  const ada = await app.user()
  const [milk, tea, gone] = [await create(ada), await create(ada, "tea"), await create(ada)]
  await ada.delete(`/todos/${gone.id}`)
  const { status, results } = await send(ada, [
    { op: "create", todo: { title: "bread", description: "rye" } },
    { op: "update", id: milk.id, todo: { is_completed: true }, if_match: milk.etag },
    { op: "update", id: milk.id, todo: { title: "oat milk" }, if_match: milk.etag },
    { op: "delete", id: tea.id },
    { op: "delete", id: gone.id },
    { op: "update", id: tea.id, todo: { title: "late" } },
  ])
  expect(status).toBe(200)
  expect(results.map((result) => result.status)).toEqual([201, 200, 412, 204, 404, 404])
  const [created, updated, stale, deleted, missing] = results
  expect(created?.todo).toMatchObject({ title: "bread", description: "rye", is_completed: false })
  expect(updated?.todo).toMatchObject({ id: milk.id, title: "milk", is_completed: true })
  // The current one, to merge with.
  expect([stale?.todo, stale?.etag]).toEqual([updated?.todo, updated?.etag])
  expect(stale?.error).toMatchObject({ error_code: "PRECONDITION_FAILED", status: 412 })
  expect(deleted).toEqual({ status: 204 })
  expect(missing?.error).toMatchObject({ error_code: "TODO_NOT_FOUND" })
  expect(await list(ada)).toEqual([updated?.todo, created?.todo] as Todo[])
  for (const { todo, etag } of [created, updated] as Result[])
    expect((await ada.get(`/todos/${todo?.id}`)).headers.get("etag")).toBe(etag ?? "")
})

test("the same todo may be changed several times, and what changes nothing leaves it as it is", async () => {
  const ada = await app.user()
  const milk = await create(ada)
  const { results } = await send(ada, [
    { op: "update", id: milk.id, todo: { title: "milk" } },
    { op: "update", id: milk.id, todo: { title: "tea" } },
    { op: "update", id: milk.id, todo: { description: "green" } },
    { op: "update", id: milk.id, todo: { description: null, title: "tea" } },
  ])
  const tags = results.map(({ etag }) => etag)
  expect(tags[0]).toBe('"1"')
  expect(new Set(tags).size).toBe(4)
  const moments = results.map(({ todo }) => (todo as unknown as { updated_at: string }).updated_at)
  expect(moments).toEqual([...new Set(moments)].sort())
  const now = await ada.get(`/todos/${milk.id}`)
  expect(now.body).toEqual(results.at(-1)?.todo)
  expect(now.headers.get("etag")).toBe(tags.at(-1) ?? "")
})

test("a create is repeated by its key, of a batch, of a single create, or of the same batch", async () => {
  const ada = await app.user()
  const single = await ada.post("/todos", { title: "single" }, { "idempotency-key": "one" })
  const operations = [
    { op: "create", todo: { title: "single" }, key: "one" },
    { op: "create", todo: { title: "batch" }, key: "two" },
    { op: "create", todo: { title: "batch" }, key: "two" },
    { op: "create", todo: { title: "other" }, key: "two" },
    { op: "create", todo: { title: "other" }, key: "one" },
  ]
  const first = await send(ada, operations)
  expect(first.results.map(({ status, replayed }) => [status, replayed])).toEqual([
    [201, true],
    [201, undefined],
    [201, true],
    [422, undefined],
    [422, undefined],
  ])
  expect(first.results[0]?.todo).toEqual(single.body as Todo)
  expect(first.results[2]?.todo).toEqual(first.results[1]?.todo)
  const again = await send(ada, operations)
  expect(again.results.map(({ todo }) => todo)).toEqual(first.results.map(({ todo }) => todo))
  const replay = await ada.post("/todos", { title: "batch" }, { "idempotency-key": "two" })
  expect(replay.headers.get("idempotent-replayed")).toBe("true")
  expect(replay.body).toEqual(first.results[1]?.todo)
  expect(await titles(ada)).toEqual(["single", "batch"])
})

test("any key is found again, whatever it is made of", async () => {
  const ada = await app.user()
  const operations = ['"', "\\", '\\"', "{", "},", "NULL", "'", ",", "!".repeat(255)].map(
    (key) => ({
      op: "create",
      todo: { title: key.slice(0, 9) },
      key,
    }),
  )
  const first = await send(ada, operations)
  for (const again of [await send(ada, operations), await send(ada, operations.toReversed())])
    expect(again.results.map(({ replayed }) => replayed)).toEqual(operations.map(() => true))
  for (const [index, { key, todo }] of operations.entries()) {
    const { body } = await ada.post("/todos", todo, { "idempotency-key": key })
    expect(body).toEqual(first.results[index]?.todo as Todo)
  }
})

test("creates keep their order in ids and in every list, with keys, without, and mixed", async () => {
  const ada = await app.user()
  const words = ["delta", "alpha", "echo", "bravo", "charlie", "foxtrot"]
  for (const keyOf of [
    () => undefined,
    (word: string) => `${word} ${ada.id}`.replace(" ", "-"),
    (word: string, i: number) => (i % 2 ? `mixed-${word}-${ada.id}` : undefined),
  ]) {
    const { results } = await send(ada, [
      ...words.map((title, i) => ({ op: "create", todo: { title }, key: keyOf(title, i) })),
      {
        op: "update",
        id: 1,
        todo: { title: "not there" },
        key: `update-${ada.id}-${Math.random()}`,
      },
    ])
    const made = results.flatMap(({ todo }) => (todo ? [todo] : []))
    expect(made.map(({ title }) => title)).toEqual(words)
    const ids = made.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
    for (const sort of ["created_at", "updated_at"]) {
      expect((await ada.get(`/todos?sort=${sort}`)).body).toEqual(made)
      expect((await ada.get(`/todos?sort=-${sort}`)).body).toEqual(made.toReversed())
    }
    await send(
      ada,
      ids.map((id) => ({ op: "delete", id })),
    )
  }
})

test("an update with a key is made once, whatever others have made of the todo since", async () => {
  const ada = await app.user()
  const { id, etag } = await create(ada)
  const done = { op: "update", id, todo: { is_completed: true }, if_match: etag, key: "done" }
  const [made] = (await send(ada, [done])).results
  expect(made).toMatchObject({ status: 200, todo: { is_completed: true } })
  expect(made?.replayed).toBeUndefined()
  await ada.patch(`/todos/${id}`, { is_completed: false })

  const [again, twice] = (await send(ada, [done, done])).results
  expect(again).toMatchObject({ status: 200, replayed: true, todo: { is_completed: false } })
  expect(twice).toEqual(again)
  const now = await ada.get(`/todos/${id}`)
  expect(now.headers.get("etag")).toBe(again?.etag ?? "")
  const other = { ...done, todo: { title: "oats" } }
  expect((await send(ada, [other])).results[0]?.error?.error_code).toBe("IDEMPOTENCY_KEY_REUSED")
})

test("an update that was refused burns no key, and a key is of one user and one todo", async () => {
  const [ada, bob] = [await app.user(), await app.user()]
  const [milk, oats] = [await create(ada), await create(ada, "oats")]
  const his = await create(bob)
  const update = { op: "update", id: milk.id, todo: { title: "tea" }, key: "k" }
  const sent = async (user: User, operation: object) =>
    (await send(user, [operation])).results.map(({ status, replayed }) => [status, replayed])
  expect(await sent(ada, { ...update, if_match: '"99"' })).toEqual([[412, undefined]])
  expect(await sent(ada, { ...update, id: his.id })).toEqual([[404, undefined]])
  const repeated = (await send(ada, [update, update])).results
  expect(repeated.map(({ status, replayed }) => [status, replayed])).toEqual([
    [200, undefined],
    [200, true],
  ])
  expect(await sent(ada, { ...update, id: oats.id })).toEqual([[422, undefined]])
  expect(await sent(bob, { ...update, id: his.id })).toEqual([[200, undefined]])
  const single = await ada.post("/todos", { title: "tea" }, { "idempotency-key": "k" })
  expect(single.status).toBe(422)
  await ada.delete(`/todos/${milk.id}`)
  expect(await sent(ada, update)).toEqual([[404, undefined]])
})

test("a key whose operation was refused is free for a later one of the same batch", async () => {
  const ada = await app.user()
  const { id } = await create(ada)
  const done = { op: "update", id, todo: { is_completed: true }, key: "two" }
  const { results } = await send(ada, [
    { op: "update", id: 987_654_321, todo: { title: "nowhere" }, key: "one" },
    { op: "create", todo: { title: "oats" }, key: "one" },
    { op: "create", todo: { title: "oats" }, key: "one" },
    { op: "create", todo: { title: "tea" }, key: "one" },
    { ...done, if_match: '"42"' },
    done,
    { ...done, if_match: '"42"' },
  ])
  expect(results.map(({ status, replayed }) => [status, replayed])).toEqual([
    [404, undefined],
    [201, undefined],
    [201, true],
    [422, undefined],
    [412, undefined],
    [200, undefined],
    [200, true],
  ])
  const again = await ada.post("/todos", { title: "oats" }, { "idempotency-key": "one" })
  expect(again.body).toEqual(results[1]?.todo as Todo)
  expect((await send(ada, [done])).results[0]?.replayed).toBe(true)
  expect(await titles(ada)).toEqual(["milk", "oats"])
})

test("of an atomic batch with a refusal nothing stays: no todo, no key, no change", async () => {
  const ada = await app.user()
  const milk = await create(ada)
  const replica = new Replica(ada)
  await replica.fetch()
  const { status, body, results } = await send(
    ada,
    [
      { op: "create", todo: { title: "bread" }, key: "k" },
      { op: "update", id: milk.id, todo: { title: "tea" } },
      { op: "delete", id: 9_007_199_254_740_991 },
    ],
    { atomic: true },
  )
  expect(status).toBe(409)
  expect(body).toMatchObject({ error_code: "BATCH_ROLLED_BACK", status: 409 })
  expect(results.map((result) => result.status)).toEqual([424, 424, 404])
  expect(await titles(ada)).toEqual(["milk"])
  const state = replica.next
  await replica.fetch()
  expect(replica.next).toBe(state)
  // The key was not used.
  expect((await ada.post("/todos", { title: "x" }, { "idempotency-key": "k" })).status).toBe(201)
})

test("an atomic batch without a refusal is done as a whole", async () => {
  const ada = await app.user()
  const { status, results } = await send(
    ada,
    [
      { op: "create", todo: { title: "a" } },
      { op: "create", todo: { title: "b" } },
    ],
    { atomic: true },
  )
  expect([status, ...results.map((result) => result.status)]).toEqual([200, 201, 201])
})

test("a batch is one step of the changes, with each todo in its latest form", async () => {
  const ada = await app.user()
  const milk = await create(ada)
  const tea = await create(ada, "tea")
  const replica = new Replica(ada)
  await replica.fetch()
  await send(ada, [
    { op: "create", todo: { title: "bread" } },
    { op: "update", id: milk.id, todo: { title: "1" } },
    { op: "update", id: milk.id, todo: { title: "2" } },
    { op: "update", id: tea.id, todo: { title: "3" } },
    { op: "delete", id: tea.id },
  ])
  const pages = await replica.fetch()
  expect(pages.at(-1)?.changes).toHaveLength(3)
  expect(replica.todos()).toEqual((await list(ada)) as never)
})

test("rules that are broken are told by pointers, and nothing is done", async () => {
  const ada = await app.user()
  const { status, body } = await send(ada, [
    { op: "create", todo: { title: "good" } },
    { op: "create", todo: { title: "" } },
    { op: "update", id: 0, todo: { title: 1 }, etag: "x" },
    { op: "replace", id: 1 },
    { op: "delete" },
    { op: "create", todo: { title: "x" }, key: "ä" },
    7,
  ])
  expect(status).toBe(400)
  const { errors } = body as { errors: { pointer: string; message: string }[] }
  expect(Object.fromEntries(errors.map(({ pointer, message }) => [pointer, message]))).toEqual({
    "/operations/1/todo/title": "must not be empty",
    "/operations/2/id": "must be a whole number from 1 to 9007199254740991",
    "/operations/2/todo/title": "must be a string",
    "/operations/2/etag": "is not a known member",
    "/operations/3":
      'must be an object with "op": "create", or "op": "update", or "op": "delete", or "op": "restore"',
    "/operations/4/id": "is required",
    "/operations/5/key": "must be visible ASCII characters",
    "/operations/6":
      'must be an object with "op": "create", or "op": "update", or "op": "delete", or "op": "restore"',
  })
  expect(await titles(ada)).toEqual([])
})

test("a batch has 1 to 100 operations, and at most 1 MiB", async () => {
  const ada = await app.user()
  const creates = (count: number, title = "a") =>
    Array.from({ length: count }, () => ({ op: "create", todo: { title } }))
  expect((await send(ada, [])).status).toBe(400)
  expect((await send(ada, creates(101))).status).toBe(400)
  const most = Array.from({ length: 100 }, () => ({
    op: "create",
    todo: { title: "😀".repeat(254), description: "😀".repeat(999) },
  }))
  expect((await send(ada, most)).status).toBe(200)
  const padded = `{"operations":[]}${" ".repeat(1024 * 1024)}`
  expect((await ada.post("/todos/batch", padded)).status).toBe(413)
  expect((await ada.post("/todos", `{"title":"a"}${" ".repeat(70_000)}`)).status).toBe(413)
  expect(await list(ada)).toHaveLength(100)
})

test("another's todos are not there", async () => {
  const [ada, bob] = [await app.user(), await app.user()]
  const milk = await create(ada)
  const { results } = await send(bob, [
    { op: "update", id: milk.id, todo: { title: "stolen" } },
    { op: "delete", id: milk.id },
  ])
  expect(results.map(({ status, todo }) => [status, todo])).toEqual([
    [404, undefined],
    [404, undefined],
  ])
  expect(await titles(ada)).toEqual(["milk"])
})

test("a user who is not there yet is created by a batch", async () => {
  const user = app.withToken(tokenFor(randomInt(2 ** 41, 2 ** 42)))
  const { body } = await user.post("/todos/batch", {
    operations: [{ op: "create", todo: { title: "a" }, key: "k" }],
  })
  expect((body as { results: Result[] }).results[0]?.status).toBe(201)
})

/** A random order that is the same in every run. */
const shuffled = <T>(items: T[], seed: number) =>
  items
    .map((item, i) => ({ item, order: Math.sin(seed * 1_000 + i * 37) }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)

test("batches, single writers and readers over the same todos never wait for each other for ever", async () => {
  const ada = await app.user()
  const todos = await Promise.all(Array.from({ length: 20 }, (_, i) => create(ada, `${i}`)))
  const keys = Array.from({ length: 10 }, (_, i) => `key ${i}`.replace(" ", "-"))
  const batches = Array.from({ length: 30 }, (_, n) => {
    const writes = todos.map(({ id }) => ({ op: "update", id, todo: { title: `batch ${n}` } }))
    const creates = keys.map((key) => ({ op: "create", todo: { title: key }, key }))
    return patiently(() => send(ada, shuffled([...writes, ...creates], n)))
  })
  const singles = shuffled(todos, 99).map(({ id }) =>
    patiently(() => ada.patch(`/todos/${id}`, { title: "single" })),
  )
  const keyed = keys.map((key) =>
    patiently(() => ada.post("/todos", { title: key }, { "idempotency-key": key })),
  )
  const answers = await Promise.all([...batches, ...singles, ...keyed])
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201]))
  const found = await titles(ada)
  expect(found.filter((title) => title.startsWith("key"))).toHaveLength(10)
  const [row] = await sql<[{ deadlocks: number }]>`
    select deadlocks
    from pg_stat_database
    where datname = current_database()`
  expect(row.deadlocks).toBe(0)
})

test("an account may be deleted while batches write to it", async () => {
  const ada = await app.user()
  await Promise.all(Array.from({ length: 10 }, (_, i) => create(ada, `${i}`)))
  const ids = (await list(ada)).map(({ id }) => id)
  const batches = Array.from({ length: 10 }, (_, n) =>
    send(ada, [
      ...shuffled(ids, n).map((id) => ({ op: "update", id, todo: { title: `${n}` } })),
      { op: "create", todo: { title: "late" } },
    ]),
  )
  const [deleted, ...answers] = await Promise.all([ada.delete("/users/me"), ...batches])
  expect(deleted.status).toBe(204)
  for (const { status } of answers) expect([200, 401]).toContain(status)
  expect((await ada.get("/todos")).status).toBe(401)
})
