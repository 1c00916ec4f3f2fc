/** Searches that are made to be slow: they end soon, and nobody else feels them. */
import { expect, test } from "bun:test"
import type postgres from "postgres"
import { startApp } from "../support/app.ts"
import { insertMany } from "../support/rows.ts"
import { openSql } from "../support/sql.ts"

/** At each of them strpos compares 100 characters with the text before it knows. */
const WORST = `b${"a".repeat(99)}`

const insertWorst = (sql: postgres.Sql, ownerId: number, count: number) =>
  insertMany(sql, ownerId, count, { title: "repeat('a', 254)", description: "repeat('a', 999)" })

test("twelve of the worst searches at once are answered, two at a time, while others go on", async () => {
  await using app = await startApp()
  const [hoarder, ada] = [await app.user(), await app.user()]
  const sql = openSql(app.databaseUrl)
  await insertWorst(sql, hoarder.id, 20_000)
  const { body } = await ada.post("/todos", { title: "mine" })
  const { id } = body as { id: number }

  let isOver = false
  const searches = Promise.all(
    Array.from({ length: 12 }, () => hoarder.get(`/todos?limit=10&count=true&q=${WORST}`)),
  ).finally(() => {
    isOver = true
  })
  let most = 0
  let before = new Set<string>()
  const waits: number[] = []
  while (!isOver) {
    const start = performance.now()
    expect((await ada.get(`/todos/${id}`)).status).toBe(200)
    waits.push(performance.now() - start)
    const rows = await sql<{ statement: string }[]>`
      select pid || ' since ' || query_start as statement
      from pg_stat_activity
      where datname = current_database()
        and state = 'active'
        and query like '%strpos%'
        and pid <> pg_backend_pid()`
    const running = new Set(rows.map(({ statement }) => statement))
    // One that ends and one that begins may both be seen in one look: those of two looks ran at once.
    most = Math.max(most, running.intersection(before).size)
    before = running
  }
  const statuses = (await searches).map(({ status }) => status)
  await sql.end()
  console.log(`others' GET took up to ${Math.max(...waits).toFixed(0)} ms: ${statuses.join(" ")}`)
  expect(new Set(statuses).difference(new Set([200, 429])).size).toBe(0)
  expect(statuses).toContain(200)
  expect(most).toBeLessThanOrEqual(2)
})

test("a search is the same whatever of it is looked for first", async () => {
  await using app = await startApp()
  const ada = await app.user()
  const titles = [
    "12345678",
    "123456789",
    "x12345678 123456780",
    "Straße ΣΊΣΥΦΟΣ 😀",
    "100% a_b\\c",
  ]
  for (const title of titles) await ada.post("/todos", { title })
  const found = async (q: string) =>
    ((await ada.get(`/todos?q=${encodeURIComponent(q)}`)).body as { title: string }[]).map(
      ({ title }) => titles.indexOf(title),
    )
  expect(await found("12345678")).toEqual([0, 1, 2])
  expect(await found("123456789")).toEqual([1])
  expect(await found("2345678 123456780")).toEqual([2])
  expect(await found("straße σίσυφος 😀")).toEqual([3])
  expect(await found("STRASSE σίσυφοσ")).toEqual([3])
  expect(await found("100% A_B\\C")).toEqual([4])
  expect(await found("100% A_BXC")).toEqual([])
})

test("a stream of a search takes no turn while its client does not read", async () => {
  await using app = await startApp()
  const ada = await app.user()
  const sql = openSql(app.databaseUrl)
  await insertWorst(sql, ada.id, 3_000)
  await sql.end()
  const open = () =>
    fetch(`${app.url}/api/v1/todos?q=a`, { headers: { authorization: `Bearer ${ada.token}` } })
  const streams = [await open(), await open(), await open()]
  expect((await ada.get("/todos?q=a&limit=1")).status).toBe(200)
  for (const stream of streams) expect(((await stream.json()) as unknown[]).length).toBe(3_000)
})
