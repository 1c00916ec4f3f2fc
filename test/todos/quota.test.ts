/** MAX_TODOS_PER_USER. */

import { expect, test } from "bun:test"
import { type App, startApp } from "../support/app.ts"
import { patiently, type User } from "../support/client.ts"
import { insertMany } from "../support/rows.ts"
import { openSql } from "../support/sql.ts"
import { tokenFor } from "../support/tokens.ts"

const MAX = "10"
const start = (more: Record<string, string> = {}) => startApp({ MAX_TODOS_PER_USER: MAX, ...more })

const create = (user: Pick<User, "post">, title = "milk", headers?: Record<string, string>) =>
  user.post("/todos", { title }, headers)

const statuses = (answers: { status: number }[]) => answers.map(({ status }) => status)

const createMany = (user: Pick<User, "post">, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => patiently(() => create(user, `todo ${i}`))))

const countOf = async ({ get }: Pick<User, "get">) =>
  ((await get("/todos")).body as unknown[]).length

test("a user has so many todos, and one more is refused until one is deleted", async () => {
  await using app = await start()
  const [ada, bob] = await Promise.all([app.user(), app.user()])
  for (let i = 0; i < 10; i++) expect((await create(ada)).status).toBe(201)
  const refused = await create(ada)
  expect(refused.status).toBe(403)
  expect(refused.body).toMatchObject({ error_code: "QUOTA_EXCEEDED" })
  expect((await create(bob)).status).toBe(201)
  const [todo] = (await ada.get("/todos")).body as { id: number }[]
  expect((await ada.patch(`/todos/${todo?.id}`, { title: "oats" })).status).toBe(200)
  expect((await ada.delete(`/todos/${todo?.id}`)).status).toBe(204)
  expect(statuses([await create(ada), await create(ada)])).toEqual([201, 403])
  expect(await countOf(ada)).toBe(10)
})

test("creates at once, on two instances, do not exceed it, and none is refused too early", async () => {
  await using app = await start()
  await using other = await start({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  const there = other.withToken(ada.token)
  const rounds = await Promise.all([createMany(ada, 30), createMany(there, 30)])
  const made = statuses(rounds.flat())
  expect(made.filter((status) => status === 201)).toHaveLength(10)
  expect(made.filter((status) => status === 403)).toHaveLength(50)
  expect(await countOf(ada)).toBe(10)
})

test("creates, changes and deletions at once do not exceed it", async () => {
  await using app = await start()
  const ada = await app.user()
  await createMany(ada, 9)
  const todos = (await ada.get("/todos")).body as { id: number }[]
  const [first, second] = todos
  for (let round = 0; round < 5; round++) {
    const [made] = await Promise.all([
      createMany(ada, 5),
      ada.patch(`/todos/${first?.id}`, { title: `round ${round}` }),
      ada.patch(`/todos/${second?.id}`, { title: `round ${round}` }),
    ])
    expect(statuses(made).filter((status) => status === 201)).toHaveLength(round === 0 ? 1 : 0)
    expect(await countOf(ada)).toBe(10)
  }
})

test("a repeat is answered at the limit too, and a refused create burns no key", async () => {
  await using app = await start()
  const ada = await app.user()
  const first = await create(ada, "first", { "idempotency-key": "first" })
  await createMany(ada, 9)
  await using other = await start({ DATABASE_URL: app.databaseUrl })
  for (const at of [app, other]) {
    const again = await create(at.withToken(ada.token), "first", { "idempotency-key": "first" })
    expect([again.status, again.text]).toEqual([201, first.text])
    expect((await create(ada, "late", { "idempotency-key": "late" })).status).toBe(403)
  }
  const { id } = first.body as { id: number }
  await ada.delete(`/todos/${id}`)
  const late = await create(ada, "late", { "idempotency-key": "late" })
  expect(late.status).toBe(201)
  expect(late.headers.has("idempotent-replayed")).toBe(false)
})

test("a user whom nobody has seen yet may create their first todo", async () => {
  await using app = await startApp({ MAX_TODOS_PER_USER: "1" })
  const ada = app.withToken(tokenFor(4713))
  const made = statuses(await createMany(ada, 10))
  expect(made.filter((status) => status === 201)).toHaveLength(1)
  expect(made.filter((status) => status === 403)).toHaveLength(9)
})

test("what was there before the limit was set stays, and counts", async () => {
  await using before: App = await startApp()
  const ada = await before.user()
  await createMany(ada, 12)
  await using after = await start({ DATABASE_URL: before.databaseUrl })
  const there = after.withToken(ada.token)
  expect(await countOf(there)).toBe(12)
  expect((await create(there)).status).toBe(403)
})

test("nobody's todos are read for the limit, or to count all of them", async () => {
  await using app = await start({ MAX_TODOS_PER_USER: "1000000", DATABASE_POOL_SIZE: "1" })
  const ada = await app.user()
  const sql = openSql(app.databaseUrl)
  await insertMany(sql, ada.id, 20_000)
  await sql`analyze todos`
  const creates = 20
  for (let i = 0; i < creates; i++) expect((await create(ada)).status).toBe(201)
  const { headers } = await ada.get("/todos?limit=1&count=true")
  expect(headers.get("x-total-count")).toBe(String(20_000 + creates))
  const counted = async () => {
    const [row] = await sql<[{ inserted: number; read: number }]>`
      select
        (select n_tup_ins from pg_stat_user_tables where relname = 'todos') as inserted,
        sum(idx_tup_read)::bigint as read
      from pg_stat_user_indexes
      where relname = 'todos'`
    return row
  }
  // The service's connection tells what it did with a statement that ends a second later.
  while ((await counted()).inserted < 20_000 + creates) {
    await ada.get("/todos/1")
    await Bun.sleep(50)
  }
  expect((await counted()).read).toBeLessThan(1_000)
  await sql.end()
})

type Results = { results: { status: number; error?: { error_code: string } }[] }

test("a batch creates as many as there is room for, and a refused create burns no key", async () => {
  await using app = await start()
  const ada = await app.user()
  await createMany(ada, 8)
  const [todo] = (await ada.get("/todos")).body as { id: number }[]
  const creates = (...keys: string[]) =>
    keys.map((key) => ({ op: "create", key, todo: { title: key } }))
  const operations = [
    ...creates("a", "b", "c", "c"),
    { op: "delete", id: todo?.id },
    ...creates("d"),
  ]
  const { body } = await ada.post("/todos/batch", { operations })
  const { results } = body as Results
  expect(statuses(results)).toEqual([201, 201, 403, 403, 204, 201])
  expect(results[2]?.error?.error_code).toBe("QUOTA_EXCEEDED")
  expect(await countOf(ada)).toBe(10)
  await ada.delete(`/todos/${((await ada.get("/todos")).body as { id: number }[])[0]?.id}`)
  const again = await create(ada, "c", { "idempotency-key": "c" })
  expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, null])
})

test("batches and creates at once do not exceed it", async () => {
  await using app = await start()
  const ada = await app.user()
  const operations = Array.from({ length: 4 }, (_, i) => ({
    op: "create",
    todo: { title: `${i}` },
  }))
  const answers = await Promise.all([
    ...Array.from({ length: 6 }, () => ada.post("/todos/batch", { operations })),
    createMany(ada, 6),
  ])
  for (const answer of answers.flat()) expect([200, 201, 403, 503]).toContain(answer.status)
  expect(await countOf(ada)).toBe(10)
})
