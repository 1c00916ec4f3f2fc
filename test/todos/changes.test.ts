/** Changes: what a replica needs to come from any state to the latest, and nothing is ever left out. */
import { expect, test } from "bun:test"
import { connect } from "../../src/database/connect.ts"
import type { Sql } from "../../src/database/sql.ts"
import { deleteExpiredTombstones } from "../../src/todos/changes/queries.ts"
import { forgetExpired } from "../../src/todos/trash.ts"
import type { User } from "../support/client.ts"
import { setClock } from "../support/clock.ts"
import { listById, type Page, Replica } from "../support/replica.ts"
import { changeTitle, insertTodos } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()

const create = async (user: User, title: string) =>
  ((await user.post("/todos", { title })).body as { id: number }).id

const createMany = async (user: User, count: number) => {
  const ids: number[] = []
  for (let i = 0; i < count; i++) ids.push(await create(user, `todo ${i}`))
  return ids
}

const state = async (user: User) => {
  const replica = new Replica(user)
  await replica.fetch()
  return replica
}

/** As the service does: content is forgotten before what is left of the todo. */
const expire = async (service: Sql, limit: number) => {
  while ((await forgetExpired(90)(service, limit)) > 0);
  return deleteExpiredTombstones(service, limit)
}

test("a user without todos has a state, and nothing in it", async () => {
  const user = await app.user()
  const { status, headers, body } = await user.get("/todos/changes")
  expect(status).toBe(200)
  expect(headers.get("cache-control")).toBe("private, no-cache")
  expect(body).toEqual({ changes: [], next: expect.any(String), has_more: false })
})

test("the initial sync gives all todos as they are, with their entity tags, in pages", async () => {
  const user = await app.user()
  const ids = await createMany(user, 5)
  await user.put(`/todos/${ids[1]}`, { is_completed: true })
  await user.delete(`/todos/${ids[2]}`)
  const replica = new Replica(user, 2)
  const pages = await replica.fetch()
  expect(pages.map(({ changes }) => changes.length)).toEqual([2, 2])
  expect(replica.todos()).toEqual(await listById(user))
  for (const { id, etag } of pages.flatMap(({ changes }) => changes))
    expect((await user.get(`/todos/${id}`)).headers.get("etag")).toBe(etag)
})

test("a state gives what was created, changed and deleted since, once each, in its latest form", async () => {
  const user = await app.user()
  const [kept, changed, deleted] = await createMany(user, 3)
  const replica = await state(user)
  const added = await create(user, "added")
  await user.put(`/todos/${changed}`, { title: "once" })
  const twice = await user.put(`/todos/${changed}`, { title: "twice" })
  await user.delete(`/todos/${deleted}`)
  const { body } = await user.get(`/todos/changes?since=${replica.next}`)
  const { changes, has_more } = body as Page
  expect(has_more).toBe(false)
  expect(changes.map(({ id }) => id)).toEqual([added, changed, deleted] as number[])
  expect(changes[1]).toEqual({
    id: changed as number,
    etag: twice.headers.get("etag"),
    todo: twice.body as Page["changes"][number]["todo"],
  })
  expect(changes[2]).toEqual({ id: deleted as number, etag: null, todo: null })
  expect(changes.map(({ id }) => id)).not.toContain(kept)
})

test("what changes nothing, and a replay, are no change", async () => {
  const user = await app.user()
  const { body } = await user.post("/todos", { title: "a" }, { "idempotency-key": "k" })
  const { id } = body as { id: number }
  const { next } = await state(user)
  expect((await user.put(`/todos/${id}`, { title: "a" })).status).toBe(200)
  expect((await user.put(`/todos/${id}`, { title: "b" }, { "if-match": '"7"' })).status).toBe(412)
  expect((await user.delete(`/todos/${id}`, { "if-match": '"7"' })).status).toBe(412)
  expect((await user.put(`/todos/${id + 1_000_000}`, { title: "b" })).status).toBe(404)
  expect((await user.delete(`/todos/${id + 1_000_000}`)).status).toBe(404)
  await user.post("/todos", { title: "a" }, { "idempotency-key": "k" })
  const later = await user.get(`/todos/changes?since=${next}`)
  expect(later.body).toEqual({ changes: [], next, has_more: false })
  expect((await state(user)).next).toBe(next)
})

test("an initial sync is complete while todos come, change and go", async () => {
  const user = await app.user()
  const ids = await createMany(user, 8)
  const replica = new Replica(user, 2)
  for (let step = 0; (await replica.step()).has_more; step++) {
    if (step > 5) continue
    await create(user, `new ${step}`)
    await user.put(`/todos/${ids[step]}`, { title: `changed ${step}` })
    await user.delete(`/todos/${ids[7 - step]}`)
  }
  expect(replica.todos()).toEqual(await listById(user))
})

test("what a long transaction commits late is in every state from before", async () => {
  const user = await app.user()
  const [id] = await createMany(user, 1)
  const before = await state(user)
  const { promise, resolve } = Promise.withResolvers<void>()
  const written = Promise.withResolvers<void>()
  const late = sql.begin(async (transaction) => {
    await insertTodos(transaction, "title", `select ${user.id}::bigint, 'late'`)
    await changeTitle(transaction, user.id, id as number, "changed late")
    written.resolve()
    await promise
  })
  await written.promise
  const during = await state(user)
  expect(during.next).toBe(before.next)
  // It waits for the other one, however long that takes on a busy machine, and comes after it.
  using _ = setClock()
  const waiting = create(user, "in between")
  await Bun.sleep(200)
  expect((await state(user)).next).toBe(before.next)
  resolve()
  await Promise.all([late, waiting])
  for (const replica of [before, during]) {
    await replica.fetch()
    expect(replica.todos().map(({ title }) => title)).toEqual([
      "changed late",
      "late",
      "in between",
    ])
    expect(replica.todos()).toEqual(await listById(user))
  }
})

const refusal = async (user: User, since: string) => {
  const { status, body } = await user.get(`/todos/changes?since=${encodeURIComponent(since)}`)
  const { error_code, errors } = body as { error_code: string; errors?: { parameter: string }[] }
  return [status, error_code, errors?.map(({ parameter }) => parameter)]
}

test("a state that was tampered with, or is somebody else's, is refused", async () => {
  const [user, stranger] = [await app.user(), await app.user()]
  await create(user, "a")
  const { next } = await state(user)
  const wrong = [400, "BAD_REQUEST", ["since"]]
  expect(await refusal(stranger, next)).toEqual(wrong)
  for (const since of ["", "x", ".", `${next}x`, `x${next}`, next.slice(0, -1), `${next}.`, "é"])
    expect(await refusal(user, since)).toEqual(wrong)
})

test("a state from another life of the database is 410", async () => {
  const user = await app.user()
  await create(user, "a")
  const { next } = await state(user)
  // A copy of the database from before the state.
  await sql`update todos set revision = 0 where owner_id = ${user.id}`
  await sql`delete from revisions where owner_id = ${user.id}`
  expect(await refusal(user, next)).toEqual([410, "CHANGES_EXPIRED", undefined])
  const other = await state(user)
  await sql`update epochs set epoch = gen_random_uuid()`
  expect(await refusal(user, other.next)).toEqual([410, "CHANGES_EXPIRED", undefined])
  expect((await state(user)).todos()).toHaveLength(1)
})

test("the parameters are checked", async () => {
  const user = await app.user()
  for (const query of [
    "limit=0",
    "limit=1001",
    "limit=x",
    "limit=1&limit=2",
    "sort=id",
    "since=%00",
  ])
    expect((await user.get(`/todos/changes?${query}`)).status).toBe(400)
  expect((await app.call("GET", "/api/v1/todos/changes?limit=0")).status).toBe(401)
})

test("deletions are remembered for 90 days, and forgotten in batches, exactly", async () => {
  const user = await app.user()
  const ids = await createMany(user, 6)
  const states = [await state(user)]
  for (const id of ids.slice(0, 4)) {
    await user.delete(`/todos/${id}`)
    states.push(await state(user))
  }
  await sql`
    update deleted_todos
    set deleted_at = deleted_at - interval '90 days'
    where owner_id = ${user.id}
      and id <= ${ids[2] as number}`
  const service = connect(app.databaseUrl, 1)
  expect(await expire(service, 2)).toBe(2)
  expect(await expire(service, 2)).toBe(1)
  expect(await expire(service, 2)).toBe(0)
  await service.end()
  for (const replica of states.slice(0, 3))
    expect(await refusal(user, replica.next)).toEqual([410, "CHANGES_EXPIRED", undefined])
  for (const replica of states.slice(3)) {
    await replica.fetch()
    expect(replica.todos()).toEqual(await listById(user))
  }
  expect((await state(user)).todos()).toEqual(await listById(user))
})

test("an initial sync that began in time is finished whatever is forgotten meanwhile", async () => {
  const user = await app.user()
  const ids = await createMany(user, 6)
  await user.delete(`/todos/${ids[0]}`)
  const replica = new Replica(user, 2)
  await replica.step()
  await sql`
    update deleted_todos
    set deleted_at = deleted_at - interval '90 days'
    where owner_id = ${user.id}`
  const service = connect(app.databaseUrl, 1)
  expect(await expire(service, 10)).toBe(1)
  await service.end()
  await replica.fetch()
  expect(replica.todos()).toEqual(await listById(user))
})

test("an unchanged list is answered with 304, whatever is asked of it", async () => {
  const user = await app.user()
  const [id] = await createMany(user, 3)
  for (const query of [
    "",
    "?limit=2",
    "?q=todo",
    "?sort=-title&count=true",
    "?is_completed=true",
  ]) {
    const path = `/todos${query}`
    const first = await user.get(path)
    const tag = first.headers.get("etag") ?? ""
    const again = await user.get(path, { "if-none-match": tag })
    expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", tag])
    expect(again.headers.get("cache-control")).toBe("private, no-cache")
    const head = await app.call("HEAD", `/api/v1${path}`, {
      headers: { authorization: `Bearer ${user.token}` },
    })
    expect(head.headers.get("etag")).toBe(tag)
    await user.put(`/todos/${id}`, { title: `todo ${query}` })
    expect((await user.get(path, { "if-none-match": tag })).status).toBe(200)
  }
  const [row] = await sql`select epoch from epochs`
  const tag = (await user.get("/todos")).headers.get("etag") ?? ""
  await sql`update epochs set epoch = gen_random_uuid()`
  expect((await user.get("/todos", { "if-none-match": tag })).status).toBe(200)
  await sql`update epochs set epoch = ${row?.["epoch"]}`
})

test("HEAD of changes answers as GET does, without a body", async () => {
  const user = await app.user()
  await user.post("/todos", { title: "milk" })
  const headers = { authorization: `Bearer ${user.token}`, prefer: "wait=1" }
  const get = await app.call("GET", "/api/v1/todos/changes", { headers })
  const head = await app.call("HEAD", "/api/v1/todos/changes", { headers })
  expect(head).toMatchObject({ status: 200, text: "" })
  for (const name of ["content-type", "content-length", "cache-control", "preference-applied"])
    expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)])
})

test("a wrong query is refused, whatever the client has", async () => {
  const user = await app.user()
  const tag = (await user.get("/todos")).headers.get("etag") ?? ""
  const known = { "if-none-match": tag }
  expect((await user.get("/todos?limit=0", known)).status).toBe(400)
  expect((await user.get("/todos?limit=1&cursor=x", known)).status).toBe(400)
})

test("other methods are refused, and not taken for those of a todo", async () => {
  const methods = ["GET", "PUT", "PATCH", "DELETE", "POST"]
  const allowed = { batch: ["OPTIONS", "POST"], changes: ["GET", "HEAD", "OPTIONS"] }
  for (const [path, allow] of Object.entries(allowed))
    for (const method of methods.filter((name) => !allow.includes(name))) {
      const { status, headers } = await app.call(method, `/api/v1/todos/${path}`)
      expect([status, headers.get("allow")]).toEqual([405, allow.join(", ")])
    }
})
