/** The owner's turn: an instance makes one write of an owner at a time, and holds up nobody else by it. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { endDeletions } from "../../src/accounts/deletion.ts"
import { connect } from "../../src/database/connect.ts"
import { deleteTodosOf } from "../../src/todos/erase.ts"
import { createTurns } from "../../src/todos/revisions.ts"
import { startApp } from "../support/app.ts"
import type { User } from "../support/client.ts"
import { setClock } from "../support/clock.ts"
import { tenthsOf } from "../support/pace.ts"
import { openSql, type TestSql } from "../support/sql.ts"

/** Holds the locks of a statement until it is disposed of. */
const holdLock = async (databaseUrl: string, statement: string) => {
  const sql = openSql(databaseUrl)
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>()
  const transaction = sql.begin(async (transaction) => {
    await transaction.unsafe(statement)
    isLocked()
    await released
  })
  await locked
  const end = async () => {
    release()
    await transaction
    await sql.end()
  }
  return { release: end, [Symbol.asyncDispose]: end }
}

/** Connections whose statements wait for a lock. */
const countWaiting = async (sql: TestSql) => {
  const waiting = await sql`
    select
    from pg_stat_activity
    where datname = current_database()
      and wait_event_type = 'Lock'`
  return waiting.count
}

const create = async (user: User) => {
  const { body } = await user.post("/todos", { title: "milk" }, { "idempotency-key": randomUUID() })
  return (body as { id: number }).id
}

const lockRevision = ({ id }: User) => `select from revisions where owner_id = ${id} for update`

test("an owner whose writes wait holds one connection, and others are served", async () => {
  await using app = await startApp({ DATABASE_POOL_SIZE: "2" })
  const [ada, bob] = [await app.user(), await app.user()]
  // Of writes at once any may come first: none of what another deletes.
  const [id, deleted] = [await create(ada), await create(ada)]
  await using sql = openSql(app.databaseUrl)
  const lock = await holdLock(app.databaseUrl, lockRevision(ada))
  // Nobody waits too long, however busy the machine is.
  using _ = setClock()
  const operations = [{ op: "delete", id: deleted }]
  const waiting = [
    ...Array.from({ length: 10 }, () => ada.post("/todos", { title: "late" })),
    ada.put(`/todos/${id}`, { title: "late" }),
    ada.post("/todos/batch", { operations }),
  ]
  while ((await countWaiting(sql)) === 0) await Bun.sleep(5)
  const others = await Promise.all([
    ...Array.from({ length: 5 }, () => bob.post("/todos", { title: "tea" })),
    ...Array.from({ length: 5 }, () => ada.get(`/todos/${id}`)),
  ])
  expect(await countWaiting(sql)).toBeLessThanOrEqual(1)
  await lock.release()
  expect(others.map(({ status }) => status)).toEqual([
    ...Array.from({ length: 5 }, () => 201),
    ...Array.from({ length: 5 }, () => 200),
  ])
  const statuses = (await Promise.all(waiting)).map(({ status }) => status)
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 201), 200, 200])
  const todos = (await ada.get("/todos")).body as { id: number }[]
  expect(todos.filter((todo) => todo.id !== id)).toHaveLength(10)
})

test("who waits for the turn is refused within five seconds", async () => {
  await using app = await startApp()
  const ada = await app.user()
  await create(ada)
  await using _ = await holdLock(app.databaseUrl, lockRevision(ada))
  const late = Promise.all(Array.from({ length: 5 }, () => ada.post("/todos", { title: "late" })))
  const [answers, tenths] = await tenthsOf(late, () => ada.get("/todos?limit=1"))
  expect(tenths).toBeLessThan(50)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
})

test("deleting an account pauses while somebody holds a lock on one of its keys, and is ended later", async () => {
  await using app = await startApp()
  await using sql = openSql(app.databaseUrl)
  const [ada, bob] = [await app.user(), await app.user()]
  for (const user of [ada, bob]) await create(user)
  const rolledBack = async () => {
    await sql`select pg_stat_clear_snapshot()`
    const [row] = await sql`
      select xact_rollback::int as count
      from pg_stat_database
      where datname = current_database()`
    return row?.["count"] as number
  }
  const lock = await holdLock(app.databaseUrl, "select from idempotency_keys for update")
  const before = await rolledBack()
  const leaving = new AbortController()
  const bobs = fetch(`${app.url}/api/v1/users/me`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${bob.token}` },
    signal: leaving.signal,
  }).catch(() => {})
  const adas = tenthsOf(ada.delete("/users/me"), () => app.call("GET", "/health/ready"))
  // Bob leaves at once: as soon as it has begun.
  while ((await sql`select from users where disabled_at is not null`).count < 2) await Bun.sleep(5)
  leaving.abort()
  const [answer, tenths] = await adas
  await bobs
  expect(answer.status).toBe(503)
  expect(tenths).toBeLessThan(50)
  // Statistics are written a second late.
  await Bun.sleep(1_500)
  expect((await rolledBack()) - before).toBeLessThan(100)
  await lock.release()
  await Bun.sleep(300)
  for (const user of [ada, bob])
    expect((await user.get("/users/me")).text).toContain("The account was deleted")
  await sql`update revocations set expires_at = now() - interval '1 second'`
  const database = connect(app.databaseUrl, 1)
  await endDeletions(deleteTodosOf({ sql: database, turns: createTurns() }))(database, 1_000)
  await database.end()
  for (const table of ["users", "todos", "revisions"])
    expect(await sql`select from ${sql(table)}`).toHaveLength(0)
})
