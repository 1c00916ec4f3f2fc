/** Idempotency-Key: a repeated create is answered as the first time. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { connect } from "../../src/database/connect.ts"
import { deleteExpiredKeys } from "../../src/todos/idempotency.ts"
import { startApp } from "../support/app.ts"
import { patiently, type User } from "../support/client.ts"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

const { app, sql } = await shareApp()
const ada = await app.user()

const create = (user: User, key: string, body: unknown = { title: "milk" }) =>
  user.post("/todos", body, { "idempotency-key": key })

const count = async (user: User) => {
  const { body } = await user.get("/todos")
  return (body as unknown[]).length
}

/** As if so many days had passed. */
const age = (key: string, days: number) => sql`
  update idempotency_keys
  set created_at = created_at - make_interval(days => ${days})
  where key = ${key}`

const replayed = ({ headers }: { headers: Headers }) => headers.get("idempotent-replayed")

test("a repeat is answered as the first time, and creates nothing", async () => {
  const user = await app.user()
  const key = randomUUID()
  const body = { title: 'Ω "milk"', description: "two\nlitres", is_completed: true }
  const first = await create(user, key, body)
  expect([first.status, replayed(first)]).toEqual([201, null])
  for (const repeat of [await create(user, key, body), await create(user, key, body)]) {
    expect([repeat.status, replayed(repeat)]).toEqual([201, "true"])
    expect(repeat.text).toBe(first.text)
    for (const name of ["location", "etag", "content-type", "cache-control"])
      expect(repeat.headers.get(name)).toBe(first.headers.get(name))
  }
  expect(await count(user)).toBe(1)
})

test("the replay is the first answer whatever became of the todo", async () => {
  const key = randomUUID()
  const first = await create(ada, key)
  const path = (first.headers.get("location") ?? "").replace("/api/v1", "")
  await ada.put(path, { title: "tea" })
  expect((await create(ada, key)).text).toBe(first.text)
  await ada.delete(path)
  const repeat = await create(ada, key)
  expect([repeat.status, repeat.text]).toEqual([201, first.text])
  expect(repeat.headers.get("etag")).toBe(first.headers.get("etag"))
  expect((await ada.get(path)).status).toBe(404)
})

test("the same JSON value in other words is the same body", async () => {
  const key = randomUUID()
  const first = await create(ada, key, '{"title":"caf\u00e9","id":10,"is_completed":false}')
  const repeat = await create(
    ada,
    key,
    '{ "is_completed": false, "id": 1e1, "title": "caf\\u00e9" }',
  )
  expect([repeat.status, repeat.text]).toEqual([201, first.text])
})

test("another body with the same key is a 422, and creates nothing", async () => {
  const user = await app.user()
  const key = randomUUID()
  await create(user, key)
  for (const body of [
    { title: "Milk" },
    { title: "milk", description: null },
    { title: "milk", is_completed: false },
    { title: "milk", id: 1 },
  ])
    expect(await create(user, key, body)).toMatchObject({
      status: 422,
      body: { error_code: "IDEMPOTENCY_KEY_REUSED" },
    })
  expect(await count(user)).toBe(1)
  expect(replayed(await create(user, key))).toBe("true")
})

test("repeats at the same time create one todo and get equal answers, on two instances", async () => {
  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  const user = await app.user()
  const elsewhere = { ...user, ...other.withToken(user.token) }
  const key = randomUUID()
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, i) => patiently(() => create(i % 2 ? user : elsewhere, key))),
  )
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
  expect(answers.filter((answer) => replayed(answer) === null)).toHaveLength(1)
  expect(await count(user)).toBe(1)
})

test("keys of different users never meet", async () => {
  const bob = await app.user()
  const key = randomUUID()
  const [first, second] = [await create(ada, key), await create(bob, key, { title: "tea" })]
  expect([first.status, second.status, replayed(second)]).toEqual([201, 201, null])
})

test("a refused request burns no key", async () => {
  const key = randomUUID()
  expect((await create(ada, key, { title: "" })).status).toBe(400)
  expect((await create(ada, key, "{")).status).toBe(400)
  const stranger = await app.call("POST", "/api/v1/todos", {
    headers: { "idempotency-key": key },
    body: { title: "milk" },
  })
  expect(stranger.status).toBe(401)
  const answer = await create(ada, key)
  expect([answer.status, replayed(answer)]).toEqual([201, null])
})

test("a create that fails in the database burns no key", async () => {
  const key = randomUUID()
  await sql`alter table todos rename to away`
  expect((await create(ada, key)).status).toBe(503)
  await sql`alter table away rename to todos`
  const answer = await create(ada, key)
  expect([answer.status, replayed(answer)]).toEqual([201, null])
})

test("a key has 1 to 255 visible ASCII characters", async () => {
  for (const key of ["", "two words", "k".repeat(256), "caf\u00e9", "tab\there", "\u007f"])
    expect(await create(ada, key)).toMatchObject({
      status: 400,
      body: { error_code: "BAD_REQUEST" },
    })
  for (const key of ["!", "~", '"quoted,key"', "k".repeat(255)])
    expect((await create(ada, key)).status).toBe(201)
})

test("the body is checked before the key", async () => {
  const answer = await create(ada, "two words", { title: 1 })
  expect(answer.body).toMatchObject({ errors: [{ pointer: "/title" }] })
})

test("a key is forgotten after 30 days, cleaned up or not", async () => {
  const user = await app.user()
  const key = randomUUID()
  const first = await create(user, key)
  await age(key, 29)
  expect(replayed(await create(user, key))).toBe("true")
  await age(key, 1)
  const second = await create(user, key, { title: "tea" })
  expect([second.status, replayed(second)]).toEqual([201, null])
  expect(second.text).not.toBe(first.text)
  expect((await create(user, key, { title: "tea" })).text).toBe(second.text)
  expect(await count(user)).toBe(2)
})

test("the clean-up deletes expired keys, a bounded number at once, and no others", async () => {
  await sql`delete from idempotency_keys`
  const keys = ["a", "b", "c", "kept"]
  for (const key of keys) await create(ada, key)
  for (const key of keys.slice(0, 3)) await age(key, 30)
  const service = connect(app.databaseUrl, 1)
  for (const deleted of [2, 1, 0]) expect(await deleteExpiredKeys(service, 2)).toBe(deleted)
  await service.end()
  expect(await sql<{ key: string }[]>`select key from idempotency_keys`).toMatchObject([
    { key: "kept" },
  ])
})

test("a user whom another system's token names creates once, too", async () => {
  const outsider = { ...app.withToken(tokenFor(4711)), id: 4711 }
  const key = randomUUID()
  const answers = await Promise.all(Array.from({ length: 8 }, () => create(outsider, key)))
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
  expect(answers[0]?.status).toBe(201)
  expect(await count(outsider)).toBe(1)
})

test("without the header every create makes a todo", async () => {
  const user = await app.user()
  await user.post("/todos", { title: "milk" })
  await user.post("/todos", { title: "milk" })
  expect(await count(user)).toBe(2)
})

test("the keys of a user go with the user", async () => {
  const user = await app.user()
  await create(user, "gone")
  await sql`delete from users where id = ${user.id}`
  const left = await sql`select from idempotency_keys where owner_id = ${user.id}`
  expect(left.count).toBe(0)
})
