/** The trash: what was deleted can be restored, until it is forgotten. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { connect } from "../../src/database/connect.ts"
import { deleteExpiredTombstones } from "../../src/todos/changes/queries.ts"
import { forgetExpired } from "../../src/todos/trash.ts"
import { startApp } from "../support/app.ts"
import type { User } from "../support/client.ts"
import { setClock } from "../support/clock.ts"
import { nextPath } from "../support/lists.ts"
import { listById, Replica } from "../support/replica.ts"
import { insertMany, MISCOUNTED } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql, account } = await shareApp()

type Todo = {
  id: number
  title: string
  description: string | null
  is_completed: boolean
  created_at: string
  updated_at: string
}
type Deleted = Todo & { deleted_at: string }

const create = async (user: User, more: object = {}) => {
  const { body, headers } = await user.post("/todos", { title: "milk", ...more })
  return { todo: body as Todo, etag: headers.get("etag") ?? "" }
}
const remove = (user: User, { id }: Todo) => user.delete(`/todos/${id}`)
const restore = (user: User, { id }: Pick<Todo, "id">) => user.post(`/todos/${id}/restore`)
const trash = async (user: User, query = "") =>
  (await user.get(`/todos/deleted${query}`)).body as Deleted[]
const batch = async (user: User, operations: unknown[], more: object = {}) =>
  await user.post("/todos/batch", { operations, ...more })

/** As if a todo had been deleted so many days earlier. */
const age = (id: number, days: number) => sql`
  update deleted_todos
  set deleted_at = deleted_at - make_interval(days => ${days})
  where id = ${id}`
const expire = async (days = 30) => {
  const service = connect(app.databaseUrl, 1)
  while ((await forgetExpired(days)(service, 2)) > 0);
  while ((await deleteExpiredTombstones(service, 2)) > 0);
  await service.end()
}
const tombstones = async ({ id }: User) =>
  Array.from(
    await sql`
      select id::integer, title, created_at
      from deleted_todos
      where owner_id = ${id}
      order by id`,
  )

test("a deleted todo comes back as it was, with its id, its content and its time", async () => {
  const ada = await app.user()
  const kept = await create(ada)
  const { todo, etag } = await create(ada, {
    title: "tea",
    description: "green",
    is_completed: true,
  })
  await remove(ada, todo)
  const [deleted, ...others] = await trash(ada)
  expect(others).toEqual([])
  const { deleted_at, ...content } = deleted as Deleted
  expect(content).toEqual(todo)
  expect(Object.keys(deleted ?? {})).toEqual([...Object.keys(todo), "deleted_at"])
  expect(Date.parse(deleted_at)).toBeGreaterThanOrEqual(Date.parse(todo.created_at))

  const restored = await restore(ada, todo)
  const { updated_at, ...same } = restored.body as Todo
  expect(restored.status).toBe(200)
  expect({ ...same, updated_at: todo.updated_at }).toEqual(todo)
  expect(updated_at > todo.updated_at).toBe(true)
  expect(restored.headers.get("etag")).not.toBe(etag)
  const found = await ada.get(`/todos/${todo.id}`)
  expect([found.body, found.headers.get("etag")]).toEqual([
    restored.body,
    restored.headers.get("etag"),
  ])
  expect((await ada.get("/todos?count=true")).headers.get("x-total-count")).toBe("2")
  expect(await listById(ada)).toEqual([kept.todo, restored.body as Todo])
  expect(await trash(ada)).toEqual([])
})

test("restoring what is not deleted changes nothing, and what is nowhere is a 404", async () => {
  const [ada, bob] = [await app.user(), await app.user()]
  const { todo, etag } = await create(ada)
  const same = await restore(ada, todo)
  expect([same.status, same.body, same.headers.get("etag")]).toEqual([200, todo, etag])
  await remove(ada, todo)
  const missing = { status: 404, body: { error_code: "TODO_NOT_FOUND" } }
  expect(await restore(bob, todo)).toMatchObject(missing)
  expect(await bob.delete(`/todos/deleted/${todo.id}`)).toMatchObject(missing)
  for (const id of ["0", "abc", "9007199254740991", "99999999999999999999"]) {
    expect(await ada.post(`/todos/${id}/restore`)).toMatchObject(missing)
    expect(await ada.delete(`/todos/deleted/${id}`)).toMatchObject(missing)
  }
  expect(await trash(bob)).toEqual([])
  expect(await trash(ada)).toHaveLength(1)
})

test("a version is never given out twice, however fast todos change, go and come back", async () => {
  const ada = await app.user()
  const { todo } = await create(ada)
  const etags = new Set<string>()
  for (let round = 0; round < 3; round++) {
    const updates = Array.from({ length: 99 }, (_, i) => ({
      op: "update",
      id: todo.id,
      todo: { title: `${round} ${i}` },
    }))
    const { body } = await batch(ada, [...updates, { op: "delete", id: todo.id }])
    for (const { etag } of (body as { results: { etag?: string }[] }).results)
      if (etag) etags.add(etag)
    const { headers, body: restored } = await restore(ada, todo)
    etags.add(headers.get("etag") ?? "")
    expect((restored as Todo).title).toBe(`${round} 98`)
  }
  expect(etags.size).toBe(3 * 100)
})

test("the trash is listed in pages, newest first, however it changes meanwhile", async () => {
  const ada = await app.user()
  const ids: number[] = []
  for (let i = 0; i < 25; i++) {
    const { todo } = await create(ada, { title: `todo ${i}`, description: 'quotes " and \u2028' })
    await remove(ada, todo)
    ids.unshift(todo.id)
  }
  const idsOf = (list: unknown) => (list as Deleted[]).map(({ id }) => id)
  expect(idsOf(await trash(ada))).toEqual(ids)
  const found: number[] = []
  for (let path: string | undefined = "/todos/deleted?limit=10"; path; ) {
    const { body, headers, status } = await ada.get(path)
    expect(status).toBe(200)
    found.push(...idsOf(body))
    path = nextPath(headers)
    const { todo } = await create(ada)
    await remove(ada, todo)
  }
  expect(found).toEqual(ids)
  expect(idsOf(await trash(ada, "?limit=1000"))).toHaveLength(28)

  const { headers } = await ada.get("/todos/deleted?limit=10")
  const cursor = new URLSearchParams(nextPath(headers)?.split("?")[1]).get("cursor")
  const bob = await app.user()
  const refusals: [User, string][] = [
    [ada, "?limit=0"],
    [ada, "?limit=1001"],
    [ada, "?sort=title"],
    [ada, `?cursor=${cursor}`],
    [ada, `?limit=1&cursor=x${cursor}`],
    [bob, `?limit=1&cursor=${cursor}`],
  ]
  for (const [user, query] of refusals)
    expect((await user.get(`/todos/deleted${query}`)).status).toBe(400)
  expect((await ada.get(`/todos?limit=1&cursor=${cursor}`)).status).toBe(400)
})

test("a long trash is streamed as a whole", async () => {
  const ada = await app.user()
  for (let n = 0; n < 23; n++) {
    const operations = Array.from({ length: 50 }, (_, i) => ({
      op: "create",
      todo: { title: `todo ${n} ${i}` },
    }))
    const { body } = await batch(ada, operations)
    const { results } = body as { results: { todo: Todo }[] }
    await batch(
      ada,
      results.map(({ todo }) => ({ op: "delete", id: todo.id })),
    )
  }
  const list = await trash(ada)
  expect(new Set(list.map(({ id }) => id)).size).toBe(23 * 50)
  const times = list.map(({ deleted_at }) => deleted_at)
  expect(times).toEqual(times.toSorted().toReversed())
  expect(await ada.delete("/todos/deleted")).toMatchObject({ status: 204, text: "" })
  expect(await trash(ada)).toEqual([])
})

test("what is forgotten stays a tombstone, without content", async () => {
  const ada = await app.user()
  const replica = new Replica(ada)
  const todos = [await create(ada), await create(ada), await create(ada)].map(({ todo }) => todo)
  await replica.fetch()
  for (const todo of todos) await remove(ada, todo)
  const [first, second, third] = todos as [Todo, Todo, Todo]
  expect(await ada.delete(`/todos/deleted/${first.id}`)).toMatchObject({ status: 204, text: "" })
  expect((await ada.delete(`/todos/deleted/${first.id}`)).status).toBe(404)
  expect((await restore(ada, first)).status).toBe(404)
  expect((await trash(ada)).map(({ id }) => id)).toEqual([third.id, second.id])
  expect((await ada.delete("/todos/deleted")).status).toBe(204)
  expect((await ada.delete("/todos/deleted")).status).toBe(204)
  expect(await trash(ada)).toEqual([])
  expect(await tombstones(ada)).toEqual(
    todos.map(({ id }) => ({ id, title: null, created_at: null })),
  )
  await replica.fetch()
  expect(replica.todos()).toEqual([])
})

test("to replicas a restored todo is a change like any other, and its tombstone is gone", async () => {
  const ada = await app.user()
  const [fast, slow] = [new Replica(ada), new Replica(ada)]
  const { todo } = await create(ada)
  await fast.fetch()
  await slow.fetch()
  await remove(ada, todo)
  await fast.fetch()
  expect(fast.todos()).toEqual([])
  const { body } = await restore(ada, todo)
  for (const replica of [fast, slow, new Replica(ada)]) {
    await replica.fetch()
    expect(replica.todos()).toEqual([body as Todo])
  }
  expect(await tombstones(ada)).toEqual([])
})

test("two restores at once are one, and one at once with a deletion leaves one of the two", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  const there = { ...ada, ...other.withToken(ada.token) }
  const replica = new Replica(ada)
  for (let round = 0; round < 10; round++) {
    const { todo } = await create(ada)
    await remove(ada, todo)
    await replica.fetch()
    const answers = await Promise.all([ada, there, ada, there].map((user) => restore(user, todo)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)

    const operations = [
      { op: "restore", id: todo.id },
      { op: "update", id: todo.id, todo: { title: `round ${round}` } },
    ]
    const [deleted, restored] = await Promise.all([
      remove(there, todo),
      restore(ada, todo),
      batch(there, operations),
    ])
    expect([deleted.status, restored.status]).toEqual([204, 200])
    const isThere = (await ada.get(`/todos/${todo.id}`)).status === 200
    expect((await trash(ada)).some(({ id }) => id === todo.id)).toBe(!isThere)
    await replica.fetch()
    expect(replica.todos()).toEqual(await listById(ada))
  }
  expect(Array.from(await sql.unsafe(MISCOUNTED))).toEqual([])
})

/** Locks what a statement selects, until it is released. */
const hold = async (select: string, ...values: number[]) => {
  const connection = await sql.reserve()
  await connection`begin`
  await connection.unsafe(select, values)
  return async () => {
    await connection`rollback`
    connection.release()
  }
}
const untilWaiting = async (count: number) => {
  const waiting = () => sql`
    select
    from pg_stat_activity
    where datname = current_database()
      and wait_event_type = 'Lock'
      -- Others wait behind a shorter one, which is tried again.
      and clock_timestamp() - query_start > interval '60 milliseconds'`
  while ((await waiting()).count < count) await Bun.sleep(10)
}
const LOCK_TODO = "select from todos where owner_id = $1 and id = $2 for update"

test("a batch that looks again for a todo to restore does not deadlock with others", async () => {
  // What waits for a lock is not cancelled, however busy the machine is.
  using _ = setClock()
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  const there = { ...ada, ...other.withToken(ada.token) }
  const { todo } = await create(ada)
  const { todo: second } = await create(ada)
  const restoreAndUpdate = (user: User, title: string) =>
    batch(user, [
      { op: "restore", id: todo.id },
      { op: "update", id: second.id, todo: { title } },
    ])
  const allowDeletion = await hold("select from revisions where owner_id = $1 for update", ada.id)
  const allowUpdates = await hold(LOCK_TODO, ada.id, second.id)
  const deletion = remove(there, todo)
  await untilWaiting(1)
  const again = restoreAndUpdate(ada, "again")
  await untilWaiting(2)
  await allowDeletion()
  await deletion
  const first = restoreAndUpdate(there, "first")
  await untilWaiting(2)
  await allowUpdates()
  const results = (await Promise.all([again, first])).map(({ body }) => JSON.stringify(body))
  for (const result of results) expect(result).toMatch(/"status":200.*"status":200/)
})

test("to empty the trash does not deadlock with a batch that restores from it", async () => {
  using _ = setClock()
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const ada = await app.user()
  const there = { ...ada, ...other.withToken(ada.token) }
  const { todo } = await create(ada)
  const { todo: second } = await create(ada)
  // The oldest deletion first.
  await remove(ada, second)
  await remove(ada, todo)
  const release = await hold(
    "select from deleted_todos where owner_id = $1 and id = $2 for update",
    ada.id,
    todo.id,
  )
  const operations = [todo, second].map(({ id }) => ({ op: "restore", id }))
  const restored = batch(there, operations)
  await untilWaiting(1)
  const emptied = ada.delete("/todos/deleted")
  await untilWaiting(2)
  await release()
  expect([(await restored).status, (await emptied).status]).toEqual([200, 204])
  expect(await listById(ada)).toHaveLength(2)
})

test("a batch restores as its single calls do, in turn", async () => {
  const ada = await app.user()
  const made = [await create(ada), await create(ada), await create(ada)].map(({ todo }) => todo)
  const [milk, tea, oats] = made as [Todo, Todo, Todo]
  await remove(ada, milk)
  await remove(ada, oats)
  const replica = new Replica(ada)
  await replica.fetch()
  const { body } = await batch(ada, [
    { op: "update", id: milk.id, todo: { title: "too early" } },
    { op: "restore", id: milk.id },
    { op: "update", id: milk.id, todo: { title: "oat milk" } },
    { op: "update", id: tea.id, todo: { title: "green tea" } },
    { op: "delete", id: tea.id },
    { op: "restore", id: tea.id },
    { op: "restore", id: tea.id },
    { op: "restore", id: oats.id },
    { op: "update", id: oats.id, todo: { title: "more oats" } },
    { op: "delete", id: oats.id },
    { op: "restore", id: 1 },
  ])
  const { results } = body as { results: { status: number; etag?: string; todo?: Todo }[] }
  expect(results.map(({ status }) => status)).toEqual([
    404, 200, 200, 200, 204, 200, 200, 200, 200, 204, 404,
  ])
  expect([results[6]]).toEqual([results[5]])
  const [, , restored, , , again] = results
  expect(await listById(ada)).toEqual([restored?.todo, again?.todo] as Todo[])
  expect([restored?.todo?.title, again?.todo?.title]).toEqual(["oat milk", "green tea"])
  expect(restored?.todo?.created_at).toBe(milk.created_at)
  for (const { todo, etag } of [restored, again] as { todo: Todo; etag: string }[])
    expect((await ada.get(`/todos/${todo.id}`)).headers.get("etag")).toBe(etag)
  expect(await trash(ada)).toMatchObject([{ id: oats.id, title: "more oats" }])
  await replica.fetch()
  expect(replica.todos()).toEqual(await listById(ada))

  // One refusal undoes all.
  const operations = [
    { op: "restore", id: oats.id },
    { op: "restore", id: 1 },
  ]
  expect((await batch(ada, operations, { atomic: true })).status).toBe(409)
  expect(await trash(ada)).toHaveLength(1)
})

test("restoring respects the limit of todos, for which the trash does not count", async () => {
  await using limited = await startApp({ DATABASE_URL: app.databaseUrl, MAX_TODOS_PER_USER: "2" })
  const owner = await app.user()
  const ada = { ...owner, ...limited.withToken(owner.token) }
  const [first, second] = [await create(ada), await create(ada)].map(({ todo }) => todo)
  await remove(ada, first as Todo)
  const key = { "idempotency-key": randomUUID() }
  expect((await ada.post("/todos", { title: "third" }, key)).status).toBe(201)
  expect(await restore(ada, first as Todo)).toMatchObject({
    status: 403,
    body: { error_code: "QUOTA_EXCEEDED" },
  })
  expect(await trash(ada)).toHaveLength(1)
  const { body } = await batch(ada, [
    { op: "restore", id: first?.id },
    { op: "delete", id: second?.id },
    { op: "restore", id: first?.id },
    { op: "restore", id: second?.id },
  ])
  const { results } = body as { results: { status: number }[] }
  expect(results.map(({ status }) => status)).toEqual([403, 204, 200, 403])
  // The replay is the first answer, whatever became of the todo.
  expect(
    (await ada.post("/todos", { title: "third" }, key)).headers.get("idempotent-replayed"),
  ).toBe("true")
})

test("content is kept for 30 days, and deletions are remembered for 90", async () => {
  const ada = await app.user()
  const made = [await create(ada), await create(ada), await create(ada)].map(({ todo }) => todo)
  const [recent, old, ancient] = made as [Todo, Todo, Todo]
  for (const todo of [ancient, old, recent]) await remove(ada, todo)
  await age(recent.id, 29)
  await age(old.id, 31)
  await age(ancient.id, 91)
  // Before it is cleaned up, too.
  expect((await trash(ada)).map(({ id }) => id)).toEqual([recent.id])
  expect((await restore(ada, old)).status).toBe(404)
  expect((await ada.delete(`/todos/deleted/${old.id}`)).status).toBe(404)
  await expire()
  expect(await tombstones(ada)).toMatchObject([
    { id: recent.id, title: "milk" },
    { id: old.id, title: null, created_at: null },
  ])
  expect((await restore(ada, recent)).status).toBe(200)
})

test("with TRASH_DAYS=0 no content is kept", async () => {
  await using forgetful = await startApp({ DATABASE_URL: app.databaseUrl, TRASH_DAYS: "0" })
  const owner = await app.user()
  const ada = { ...owner, ...forgetful.withToken(owner.token) }
  const made = [await create(ada), await create(ada), await create(ada)].map(({ todo }) => todo)
  const [single, batched, kept] = made as [Todo, Todo, Todo]
  await remove(ada, single)
  const { body } = await batch(ada, [
    { op: "delete", id: batched.id },
    { op: "restore", id: batched.id },
    { op: "restore", id: kept.id },
  ])
  const { results } = body as { results: { status: number }[] }
  expect(results.map(({ status }) => status)).toEqual([204, 404, 200])
  expect(await tombstones(ada)).toEqual(
    [single, batched].map(({ id }) => ({ id, title: null, created_at: null })),
  )
  // Nor is what another instance has kept until now.
  await remove(owner, kept)
  expect(await trash(ada)).toEqual([])
  for (const todo of made) expect((await restore(ada, todo)).status).toBe(404)
})

test("many todos are forgotten in time, though the statistics know of few", async () => {
  const fill = async ({ id }: User, count: number) => {
    await insertMany(sql, id, count)
    await sql`
      insert into deleted_todos (owner_id, id, revision, title, is_completed, created_at, updated_at)
      select ${id}, 1000000 + n, n, 'milk', false, now(), now()
      from generate_series(1, ${count}::integer) as n`
  }
  await fill(await account(), 60)
  for (const table of ["todos", "deleted_todos"])
    await sql.unsafe(`alter table ${table} set (autovacuum_enabled = false); analyze ${table}`)
  const ada = await account()
  await fill(ada, 20_000)
  expect((await ada.delete("/todos/deleted")).status).toBe(204)
  expect(await trash(ada)).toEqual([])
  expect((await ada.delete("/users/me")).status).toBe(204)
})

test("the trash is in the export, and goes with the account", async () => {
  const ada = await account()
  const made = [await create(ada), await create(ada)].map(({ todo }) => todo)
  const [kept, forgotten] = made as [Todo, Todo]
  for (const todo of made) await remove(ada, todo)
  await ada.delete(`/todos/deleted/${forgotten.id}`)
  const { deleted_todos } = (await ada.get("/users/me/export")).body as { deleted_todos: Deleted[] }
  expect(deleted_todos).toMatchObject([
    { ...kept, deleted_at: expect.any(String) },
    { id: forgotten.id, title: null, description: null, is_completed: null, created_at: null },
  ])
  expect((await ada.delete("/users/me")).status).toBe(204)
  expect(await tombstones(ada)).toEqual([])
})

test("personal tokens need their scopes for the trash", async () => {
  const ada = await account()
  const { todo } = await create(ada)
  await remove(ada, todo)
  const withScope = async (scope: string) => {
    const { body } = await ada.post("/users/me/tokens", { name: scope, scopes: [scope] })
    return { ...ada, ...app.withToken((body as { token: string }).token) }
  }
  const [reader, writer] = [await withScope("todos:read"), await withScope("todos:write")]
  expect(await trash(reader)).toHaveLength(1)
  expect((await restore(reader, todo)).status).toBe(403)
  expect((await reader.delete("/todos/deleted")).status).toBe(403)
  expect((await reader.delete(`/todos/deleted/${todo.id}`)).status).toBe(403)
  expect(await trash(writer)).toHaveLength(1)
  expect((await restore(writer, todo)).status).toBe(200)
})

test("other methods are refused, and not taken for those of a todo", async () => {
  const allowed: Record<string, string> = {
    "/todos/deleted": "DELETE, GET, HEAD, OPTIONS",
    "/todos/deleted/1": "DELETE, OPTIONS",
    "/todos/1/restore": "OPTIONS, POST",
  }
  for (const [path, allow] of Object.entries(allowed)) {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      const { status, headers } = await app.call(method, `/api/v1${path}`)
      if (allow.includes(method)) expect(status).toBe(401)
      else expect([method, status, headers.get("allow")]).toEqual([method, 405, allow])
    }
    const { status, headers } = await app.call("OPTIONS", `/api/v1${path}`)
    expect([status, headers.get("allow")]).toEqual([204, allow])
  }
})
