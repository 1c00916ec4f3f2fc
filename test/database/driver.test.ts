/** What is relied on of postgres.js' private parts: where an upgrade changes it, this fails. */
import { afterAll, expect, test } from "bun:test"
import {
  controlsOf,
  interceptRejection,
  interceptStart,
  isActive,
  isQuery,
  openConnection,
  type Query,
  rejectQuery,
} from "../../src/database/driver.ts"
import { createDatabase } from "../support/postgres.ts"

const database = await createDatabase()
const open = () => openConnection(database.url)
const [maker, sql] = [open(), open()]
await sql`select`

afterAll(async () => {
  await Promise.all([maker.end(), sql.end()])
  await database.drop()
})

const asQuery = (made: unknown): Query => {
  if (!isQuery(made)) throw new Error("This is no query any more")
  return made
}

/** Under way on `instance`, whichever made it. */
const started = (made: unknown, instance = sql) => {
  const query = asQuery(made)
  interceptStart(query, controlsOf(instance).start)
  const outcome = query.then(
    (rows) => ({ rows }),
    (error) => ({ code: error.code ?? error.message }),
  )
  return { query, outcome }
}

/** Whoever wants this lock waits until it is released. */
const holdLock = async () => {
  const holder = open()
  await holder`select pg_advisory_lock(1)`
  return () => holder.end()
}
const waitForLock = () => maker`select pg_advisory_xact_lock_shared(1)`

const untilActive = async (query: Query) => {
  while (!isActive(query)) await Bun.sleep(1)
}

test("queries are told from names and lists", () => {
  expect([sql`select`, sql("name"), sql([1, 2]), sql.json({})].map(isQuery)).toEqual([
    true,
    false,
    false,
    false,
  ])
})

test("a query starts when it is awaited, by what was put in the place of its start", async () => {
  const fragment = asQuery(maker`and true`)
  const query = asQuery(maker`select 1 as one where true ${fragment as never}`)
  const startedWith: Query[] = []
  const start = interceptStart(query, (own) => {
    startedWith.push(own)
    start(own)
  })
  interceptStart(fragment, () => expect.unreachable())
  await Bun.sleep(1)
  expect(startedWith).toEqual([])
  expect(await query).toMatchObject([{ one: 1 }])
  expect(startedWith).toHaveLength(1)
})

test("a query runs on the instance that starts it, not on the one that made it", async () => {
  const [own] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
  expect(await started(maker`select pg_backend_pid() as pid`).outcome).toMatchObject({
    rows: [own],
  })
})

test("of queries that were sent one behind another only the first is active", async () => {
  const release = await holdLock()
  const first = started(waitForLock())
  const second = started(maker`select 2 as n`)
  expect(isActive(first.query)).toBe(false)
  await untilActive(first.query)
  expect([first, second].map(({ query }) => isActive(query))).toEqual([true, false])
  await release()
  await first.outcome
  expect(await second.outcome).toMatchObject({ rows: [{ n: 2 }] })
  expect(isActive(second.query)).toBe(false)
})

test("only the query that is cancelled fails, and the cancel is over when its connection is closed", async () => {
  const first = started(maker`select pg_sleep(60)`)
  const second = started(maker`select 2 as n`)
  await untilActive(first.query)
  // A cancel that comes before the server has begun is for nothing.
  const own = open()
  const begun = () => own`
    select
    from pg_stat_activity
    where datname = current_database()
      and wait_event = 'PgSleep'`
  while ((await begun()).count === 0) await Bun.sleep(1)
  await own.end()
  await controlsOf(sql).cancel(first.query)
  expect(await first.outcome).toEqual({ code: "57014" })
  expect(await second.outcome).toMatchObject({ rows: [{ n: 2 }] })
})

test("a query whose rejection is kept back can be started anew", async () => {
  const query = asQuery(
    maker`select 1 / count(*) as n from pg_class where relname = 'made_meanwhile'`,
  )
  const { start } = controlsOf(sql)
  const reasons: unknown[] = []
  interceptRejection(query, (reason) => reasons.push(reason) === 1)
  interceptStart(query, start)
  const outcome = query.then((rows) => rows)
  while (reasons.length === 0) await Bun.sleep(1)
  expect(isActive(query)).toBe(false)
  await sql`create table made_meanwhile ()`
  start(query)
  expect(await outcome).toMatchObject([{ n: "1" }])
})

test("a query that is rejected has that outcome, whatever the server answers", async () => {
  // On a connection of its own: a cancel may still be on its way to the other.
  const own = open()
  const release = await holdLock()
  const { query, outcome } = started(waitForLock(), own)
  await untilActive(query)
  rejectQuery(query, new Error("given up"))
  expect(await outcome).toEqual({ code: "given up" })
  await release()
  expect(await own`select 1 as n`).toMatchObject([{ n: 1 }])
  await own.end()
})
