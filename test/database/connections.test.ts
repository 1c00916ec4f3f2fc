/** Who shares a connection to the database with whom, and who is held up by whom. */

import { expect, test } from "bun:test"
import { connectionOptions } from "../../src/config/database-url.ts"
import { connect } from "../../src/database/connect.ts"
import type { Sql } from "../../src/database/sql.ts"
import { createLog, type Log } from "../../src/log.ts"
import { startApp } from "../support/app.ts"
import { setClock } from "../support/clock.ts"
import { startProxy } from "../support/fuzz/proxy.ts"
import { createDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"

/** A cancel that comes before the server has begun is for nothing. */
type UntilBegun = () => Promise<void>

const withConnections = async (
  size: number,
  work: (sql: Sql, untilBegun: UntilBegun, url: string) => Promise<void>,
  log?: Log,
) => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, size, { ...(log && { log }) })
  // Connected, and the statement prepared: what comes next is under way at once.
  await Promise.all(Array.from({ length: size }, () => sql.pipelined`select pg_sleep(${0})`))
  const untilBegun = async () => {
    await using other = openSql(url)
    const begun = () => other`
      select
      from pg_stat_activity
      where datname = current_database()
        and wait_event = 'PgSleep'`
    while ((await begun()).count === 0) await Bun.sleep(5)
  }
  await work(sql, untilBegun, url)
  await sql.end()
  await drop()
}

/** Whoever wants the lock waits until it is released. */
const holdLock = async (url: string, lock: number) => {
  const holder = openSql(url)
  await holder`select pg_advisory_lock(${lock})`
  return () => holder.end()
}

/** Sends what a query would only send when it is awaited. */
const send = <T>(statement: Promise<T>): Promise<T> => Promise.resolve(statement)

/** All is sent that can be, and nothing is answered yet: no turn of the event loop has passed. */
const untilSent = async () => {
  for (let n = 0; n < 20; n++) await null
}

test("pipelined statements share a connection, and no other is sent behind them", () =>
  withConnections(1, async (sql) => {
    // A busy machine may stop between two lines for longer than a statement is taken for short.
    using _ = setClock()
    const slow = send(sql.pipelined`select pg_sleep(${0.1})`)
    const answers = [
      send(sql.pipelined`select 'second' as name`),
      send(sql.pipelined`select 'third' as name`),
      send(sql`select 'other' as name`),
      send(sql.pipelined`select 'fifth' as name`),
    ]
    await untilSent()
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 2 })
    expect(await Promise.all(answers)).toMatchObject(
      ["second", "third", "other", "fifth"].map((name) => [{ name }]),
    )
    await slow
  }))

test("nothing is sent behind a statement that is not pipelined, or turned out to be slow", () =>
  withConnections(2, async (sql) => {
    using clock = setClock()
    const slow = [send(sql`select pg_sleep(${0.1})`), send(sql.pipelined`select pg_sleep(${0.1})`)]
    await untilSent()
    clock.advance(0.05)
    const late = send(sql.pipelined`select 'late' as name`)
    await untilSent()
    expect(sql.state()).toMatchObject({ busy: 2, waiting: 1 })
    expect(await late).toMatchObject([{ name: "late" }])
    await Promise.all(slow)
  }))

test.concurrent("pipelined statements do not keep others out", () =>
  withConnections(1, async (sql) => {
    const order: string[] = []
    let isOver = false
    const ask = async () => {
      while (!isOver) {
        await sql.pipelined`select pg_sleep(${0.001})`
        order.push("pipelined")
      }
    }
    const many = Array.from({ length: 20 }, ask)
    await Bun.sleep(20)
    const before = order.length
    await sql`select 'other'`
    expect(order.length - before).toBeLessThan(40)
    isOver = true
    await Promise.all(many)
  }))

test("who was sent behind a statement that is cancelled gets its own answer", () =>
  withConnections(1, async (sql, untilBegun) => {
    using clock = setClock()
    const outcome = send(sql.pipelined`select pg_sleep(${60})`).catch((error) => error.code)
    const names = ["ada", "bob", "eve"]
    const behind = names.map((name) => send(sql.pipelined`select ${name} as name`))
    await untilSent()
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 0 })
    await untilBegun()
    clock.advance(3)
    expect(await outcome).toBe("57014")
    expect(await Promise.all(behind)).toMatchObject(names.map((name) => [{ name }]))
    expect(sql.state()).toMatchObject({ busy: 0, replaced: 0 })
  }))

test("whoever waits is served as long as others are, and has the rest of its time to run", () =>
  withConnections(1, async (sql, untilBegun) => {
    using clock = setClock()
    const takeSome = () => clock.advance(0.1)
    const many = Promise.all(Array.from({ length: 20 }, () => sql`select`.then(takeSome)))
    const last = send(sql`select pg_sleep(${60})`).catch((error) => error.code)
    expect(await many).toHaveLength(20)
    await untilBegun()
    clock.advance(1.9)
    // It looks every 100 ms.
    await Bun.sleep(150)
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 0, cancelled: 0 })
    // Its wait of two seconds is a part of its four.
    clock.advance(0.2)
    expect(await last).toBe("57014")
  }))

test("what waits for a client that has left is dropped, and is no error where it has begun", () =>
  withConnections(1, async (sql, _, url) => {
    using _clock = setClock()
    const release = await holdLock(url, 1)
    const leaving = new AbortController()
    const options = { prepare: true, signal: () => leaving.signal }
    const codeOf = (error: Error) => error.name
    const text = "select 'begun' as name, pg_advisory_lock_shared($1)"
    const slow = send(sql.unsafe(text, [1], options))
    await untilSent()
    const statement = sql.pipelined.unsafe("select 'left' where $1", [true], options).catch(codeOf)
    const transaction = sql.begin(() => expect.unreachable(), options).catch(codeOf)
    const late = sql.unsafe("select $1", ["late"], options)
    await untilSent()
    expect(sql.state()).toMatchObject({ busy: 1, waiting: 2 })
    leaving.abort()
    expect(await Promise.all([statement, transaction])).toEqual(["ClientLeft", "ClientLeft"])
    expect(await late.catch(codeOf)).toBe("ClientLeft")
    await release()
    expect(await slow).toMatchObject([{ name: "begun" }])
    expect(sql.state()).toMatchObject({ busy: 0, waiting: 0 })
  }))

test.concurrent("what waits leaves nothing behind at the signal of its client", () =>
  withConnections(1, async (sql) => {
    const { signal } = new AbortController()
    let listeners = 0
    Object.assign(signal, {
      addEventListener: () => listeners++,
      removeEventListener: () => listeners--,
    })
    const options = { prepare: true, signal: () => signal }
    const slow = send(sql`select pg_sleep(0.05)`)
    const waited = Array.from({ length: 20 }, (_, n) => sql.unsafe("select $1", [n], options))
    await Promise.all([slow, ...waited])
    expect(listeners).toBe(0)
  }))

test("slow statements are logged at debug with their text and time, and nothing that they were given", () => {
  const lines: { statement: string; duration_ms: number }[] = []
  const log = createLog("silent")
  log.debug = (line: unknown) => void lines.push(line as (typeof lines)[number])
  const work = async (sql: Sql) => {
    using clock = setClock()
    lines.length = 0
    /** As if it had taken so many seconds. */
    const lasting = async (seconds: number, statement: Promise<unknown>) => {
      const sent = send(statement)
      await untilSent()
      clock.advance(seconds)
      await sent
    }
    const slow = send(sql.pipelined`select pg_sleep(${0.05}), ${"secret"} as name`)
    const others = [send(sql.pipelined`select 'behind'`), send(sql`select 'waits'`)]
    await lasting(0.3, slow)
    await Promise.all(others)
    await lasting(0.4, sql.unsafe("select pg_sleep($1)", [0.05], { prepare: true }))
    await sql.begin(async (transaction) => {
      await lasting(0.26, transaction`select pg_sleep(0.05)`)
      await transaction`select 'last'`
    })
    expect(lines.map(({ statement }) => statement)).toEqual([
      "select pg_sleep($1), $2 as name",
      "select pg_sleep($1)",
      "select pg_sleep(0.05)",
    ])
    expect(lines.map(({ duration_ms }) => Math.round(duration_ms))).toEqual([300, 400, 260])
  }
  return withConnections(1, work, log)
})

test("what was waited for elsewhere counts into the time limits", () =>
  withConnections(1, async (sql, untilBegun) => {
    using clock = setClock()
    const options = { prepare: true, askedAt: performance.now() - 3_000 }
    const slow = send(sql.unsafe("select pg_sleep($1)", [60], options)).catch((error) => error.code)
    await untilBegun()
    const waiting = sql.begin(() => expect.unreachable(), options)
    clock.advance(0.6)
    expect(await waiting.catch((error) => error.code)).toBe("POOL_EXHAUSTED")
    expect(sql.state()).toMatchObject({ busy: 1, cancelled: 0 })
    clock.advance(0.5)
    expect(await slow).toBe("57014")
  }))

test("a cancel that comes late reaches no other statement", async () => {
  const { url, drop } = await createDatabase()
  const { host, port } = connectionOptions(url)
  const isSocket = host.startsWith("/")
  await using proxy = await startProxy(
    isSocket ? { path: `${host}/.s.PGSQL.${port}` } : { host, port },
  )
  const { promise: cancelGate, resolve: letCancelPass } = Promise.withResolvers<void>()
  const plan = { faults: new Map(), pieces: 0, cancelDelay: 0, cancelGate }
  proxy.use([plan, plan])
  const through = new URL(url)
  through.searchParams.set("host", "127.0.0.1")
  through.searchParams.set("port", `${proxy.port}`)
  const sql = connect(through.toString(), 1)
  await sql.pipelined`select ${1}`
  using clock = setClock()
  const [releaseFirst, releaseSecond] = [await holdLock(url, 1), await holdLock(url, 2)]
  const slow = send(sql.pipelined`select pg_advisory_lock_shared(1)`)
  const behind = send(
    sql.pipelined`select pg_advisory_lock_shared(2), pg_sleep(0.3), 'behind' as name`,
  )
  await untilSent()
  clock.advance(3)
  while (sql.state().cancelled === 0) await Bun.sleep(5)
  // It ends by itself while its cancel is on its way.
  await releaseFirst()
  await slow
  await untilSent()
  const pipelined = send(sql.pipelined`select 'pipelined' as name`)
  const next = send(sql`select pg_sleep(0.3), 'next' as name`)
  await untilSent()
  expect(sql.state()).toMatchObject({ busy: 1, waiting: 2 })
  // For one that does not wait for the cancel to be under way.
  await Bun.sleep(100)
  letCancelPass()
  await releaseSecond()
  expect(await Promise.all([behind, pipelined, next])).toMatchObject([
    [{ name: "behind" }],
    [{ name: "pipelined" }],
    [{ name: "next" }],
  ])
  expect(sql.state()).toMatchObject({ cancelled: 1, replaced: 0 })
  await sql.end()
  await drop()
})

test("writes to a locked todo hold up nobody else, and succeed when it is free", async () => {
  // What waits for the lock is not cancelled, however busy the machine is.
  using _ = setClock()
  await using app = await startApp({ DATABASE_POOL_SIZE: "3" })
  const ada = await app.user()
  const bob = await app.user()
  const { body } = await ada.post("/todos", { title: "locked" })
  const { id } = body as { id: number }
  const other = openSql(app.databaseUrl)
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
    ...Array.from({ length: 20 }, (_, n) => ada.post("/todos", { title: `behind ${n}` })),
  ]
  const free = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      n % 2 ? ada.get(`/todos/${id}`) : bob.post("/todos", { title: `${n}` }),
    ),
  )
  expect(new Set(free.map(({ status }) => status))).toEqual(new Set([200, 201]))
  release()
  await lock
  await other.end()
  const statuses = (await Promise.all(blocked)).map(({ status }) => status)
  expect(statuses.slice(0, 2)).toEqual([200, 412])
  expect(new Set(statuses.slice(2))).toEqual(new Set([201]))
})
