/** The owner's turn: an instance makes one write of an owner at a time, and holds up nobody else by it. */
import { expect, test } from "bun:test"
import { randomUUID } from "node:crypto"
import { endDeletions } from "../../src/accounts/deletion.ts"
import { connect } from "../../src/database/connect.ts"
import { deleteTodosOf } from "../../src/todos/erase.ts"
import { createTurns } from "../../src/todos/revisions.ts"
import { startApp } from "../support/app.ts"
import type { User } from "../support/client.ts"
import { openSql } from "../support/sql.ts"

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

const create = async (user: User) => {
  const { body } = await user.post("/todos", { title: "milk" }, { "idempotency-key": randomUUID() })
  return (body as { id: number }).id
}

const lockRevision = ({ id }: User) => `select from revisions where owner_id = ${id} for update`

test("an owner whose writes wait holds one connection, and others are served", async () => {
  await using app = await startApp({ DATABASE_POOL_SIZE: "2" })
  const [ada, bob] = [await app.user(), await app.user()]
  const id = await create(ada)
  const lock = await holdLock(app.databaseUrl, lockRevision(ada))
  const operations = [{ op: "delete", id }]
  const waiting = [
    ...Array.from({ length: 10 }, () => ada.post("/todos", { title: "late" })),
    ada.put(`/todos/${id}`, { title: "late" }),
    ada.post("/todos/batch", { operations }),
  ]
  await Bun.sleep(200)
  for (let i = 0; i < 5; i++) {
    expect((await bob.post("/todos", { title: "tea" })).status).toBe(201)
    expect((await ada.get(`/todos/${id}`)).status).toBe(200)
  }
  await lock.release()
  const statuses = (await Promise.all(waiting)).map(({ status }) => status)
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 201), 200, 200])
})

test("who waits for the turn is refused within five seconds", async () => {
  await using app = await startApp()
  const ada = await app.user()
  await create(ada)
  await using _ = await holdLock(app.databaseUrl, lockRevision(ada))
  const startedAt = performance.now()
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => ada.post("/todos", { title: "late" })),
  )
  expect(performance.now() - startedAt).toBeLessThan(5_000)
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
  const startedAt = performance.now()
  // Bob leaves at once.
  const bobs = fetch(`${app.url}/api/v1/users/me`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${bob.token}` },
    signal: AbortSignal.timeout(300),
  })
  const [answer] = await Promise.all([ada.delete("/users/me"), bobs.catch(() => {})])
  expect(answer.status).toBe(503)
  expect(performance.now() - startedAt).toBeLessThan(5_000)
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
