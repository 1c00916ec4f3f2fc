/** Who shares a connection to the database with whom, and who is held up by whom. */
import { expect, test } from "bun:test"
import postgres from "postgres"
import { connect, type Sql } from "../../src/database/connection.ts"
import { connectionOptions } from "../../src/database/url.ts"
import { startApp } from "../support/app.ts"
import { createDatabase } from "../support/postgres.ts"

const withConnections = async (size: number, work: (sql: Sql) => Promise<void>) => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, size)
  // Connected, and the statement prepared: what comes next is under way at once.
  await Promise.all(Array.from({ length: size }, () => sql.brief`select pg_sleep(${0})`))
  await work(sql)
  await sql.end()
  await drop()
}

/** Sends what a query would only send when it is awaited. */
const send = <T>(statement: Promise<T>): Promise<T> => Promise.resolve(statement)

test.concurrent("brief statements share a connection, and no other is sent behind them", () =>
  withConnections(1, async (sql) => {
    const slow = send(sql.brief`select pg_sleep(${0.1})`)
    const answers = [
      send(sql.brief`select 'second' as name`),
      send(sql.brief`select 'third' as name`),
      send(sql`select 'other' as name`),
      send(sql.brief`select 'fifth' as name`),
    ]
    await Bun.sleep(1)
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 2 })
    expect(await Promise.all(answers)).toMatchObject(
      ["second", "third", "other", "fifth"].map((name) => [{ name }]),
    )
    await slow
  }))

test.concurrent("nothing is sent behind a statement that is not brief, or turned out not to be", () =>
  withConnections(2, async (sql) => {
    const slow = [send(sql`select pg_sleep(${0.3})`), send(sql.brief`select pg_sleep(${0.3})`)]
    await Bun.sleep(50)
    const late = send(sql.brief`select 'late' as name`)
    await Bun.sleep(1)
    expect(sql.state()).toMatchObject({ busy: 2, waiting: 1 })
    expect(await late).toMatchObject([{ name: "late" }])
    await Promise.all(slow)
  }))

test.concurrent("brief statements do not keep others out", () =>
  withConnections(1, async (sql) => {
    const order: string[] = []
    let isOver = false
    const brief = async () => {
      while (!isOver) {
        await sql.brief`select pg_sleep(${0.001})`
        order.push("brief")
      }
    }
    const many = Array.from({ length: 20 }, brief)
    await Bun.sleep(20)
    const before = order.length
    await sql`select 'other'`
    expect(order.length - before).toBeLessThan(40)
    isOver = true
    await Promise.all(many)
  }))

test.concurrent("who was sent behind a statement that is cancelled gets its own answer", () =>
  withConnections(1, async (sql) => {
    const outcome = send(sql.brief`select pg_sleep(${60})`).catch((error) => error.code)
    const names = ["ada", "bob", "eve"]
    const behind = names.map((name) => send(sql.brief`select ${name} as name`))
    await Bun.sleep(1)
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 0 })
    expect(await outcome).toBe("57014")
    expect(await Promise.all(behind)).toMatchObject(names.map((name) => [{ name }]))
    expect(sql.state()).toMatchObject({ busy: 0, cancelled: 1, replaced: 0 })
  }))

test.concurrent("whoever waits is served as long as others are, and has the rest of its time to run", () =>
  withConnections(1, async (sql) => {
    const start = performance.now()
    const many = Promise.all(Array.from({ length: 20 }, () => sql`select pg_sleep(${0.1})`))
    await Bun.sleep(1)
    const last = sql`select pg_sleep(${60})`.catch((error) => error.code)
    expect(await many).toHaveLength(20)
    expect(await last).toBe("57014")
    expect(performance.now() - start).toBeLessThan(4_500)
  }))

test("writes to a locked todo hold up nobody else, and succeed when it is free", async () => {
  await using app = await startApp({ DATABASE_POOL_SIZE: "3" })
  const ada = await app.user()
  const bob = await app.user()
  const { body } = await ada.post("/todos", { title: "locked" })
  const { id } = body as { id: number }
  const other = postgres({ ...connectionOptions(app.databaseUrl), max: 1 })
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>()
  const lock = other.begin(async (transaction) => {
    await transaction`select from todos where id = ${id} for update`
    isLocked()
    await released
  })
  await locked
  const blocked = [
    ada.put(`/todos/${id}`, { title: "written" }),
    ada.delete(`/todos/${id}`, { "if-match": '"99"' }),
  ]
  const start = performance.now()
  const free = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      n % 2 ? ada.get(`/todos/${id}`) : bob.post("/todos", { title: `${n}` }),
    ),
  )
  expect(performance.now() - start).toBeLessThan(1_000)
  expect(new Set(free.map(({ status }) => status))).toEqual(new Set([200, 201]))
  release()
  await lock
  await other.end()
  expect((await Promise.all(blocked)).map(({ status }) => status)).toEqual([200, 412])
})
