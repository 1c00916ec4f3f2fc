import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import postgres from "postgres"
import { connectionOptions } from "../src/database/connection.ts"
import { type App, startApp } from "./support/app.ts"
import { ids } from "./support/lists.ts"

const COUNT = 20_000

let app: App
let sql: postgres.Sql
let ada: Awaited<ReturnType<App["user"]>>
// One connection: a list that kept it would block everything else.
beforeAll(async () => {
  app = await startApp({ DATABASE_POOL_SIZE: "1" })
  sql = postgres({ ...connectionOptions(app.databaseUrl), max: 1 })
  ada = await app.user()
})
afterAll(async () => {
  await sql.end()
  await app[Symbol.asyncDispose]()
})

/** Some 20 MB: far more than the sockets in between hold. */
const fill = () => sql`
  insert into todos (owner_id, title, description, is_completed)
  select ${ada.id}, 'todo ' || i, repeat('x', 900), i % 3 = 0
  from generate_series(1, ${COUNT}) as i`
const empty = () => sql`delete from todos where owner_id = ${ada.id}`
afterEach(async () => {
  await empty()
})

const open = async (signal?: AbortSignal) => {
  const response = await fetch(`${app.url}/api/v1/todos`, {
    headers: { authorization: `Bearer ${ada.token}` },
    ...(signal && { signal }),
  })
  if (!response.body) throw new Error("There is no body")
  return { response, reader: response.body.getReader() }
}

const readAll = async (reader: Awaited<ReturnType<typeof open>>["reader"]) => {
  const decoder = new TextDecoder()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text
    text += decoder.decode(value, { stream: true })
  }
}

test("a list of many pages is one array, complete and in order, with each filter", async () => {
  await fill()
  const whole = await ada.get("/todos?count=true")
  expect(whole.headers.get("transfer-encoding")).toBe("chunked")
  expect(whole.headers.get("content-type")).toBe("application/json")
  expect(whole.headers.get("x-total-count")).toBe(String(COUNT))
  expect(whole.headers.get("link")).toBeNull()
  const all = ids(whole.body)
  expect(all).toHaveLength(COUNT)
  expect(all).toEqual(all.toSorted((a, b) => a - b))
  const descending = await ada.get("/todos?sort=-created_at&is_completed=true")
  expect(ids(descending.body)).toEqual(all.filter((_, i) => (i + 1) % 3 === 0).reverse())
})

test("a list of one page says its length", async () => {
  const answer = await ada.get("/todos")
  expect(answer.headers.get("content-length")).toBe("2")
})

test("a list of exactly so many todos as a page is complete", async () => {
  for (const count of [999, 1000, 1001, 2000]) {
    await sql`
      insert into todos (owner_id, title)
      select ${ada.id}, 'x'
      from generate_series(1, ${count})`
    expect(ids((await ada.get("/todos")).body)).toHaveLength(count)
    await empty()
  }
})

test("a slow reader slows the reading down, and holds no connection to the database", async () => {
  await fill()
  const { reader } = await open()
  await reader.read()
  await Bun.sleep(300)
  expect((await ada.get("/users/me")).status).toBe(200)
  // What the server has not read by now is gone.
  await empty()
  const received = (await readAll(reader)).match(/"id":/g) ?? []
  expect(received.length).toBeLessThan(COUNT / 2)
})

test("an error in the middle never looks like a complete list", async () => {
  await fill()
  const { reader, response } = await open()
  await reader.read()
  await sql`alter table todos rename to away`
  expect(response.status).toBe(200)
  expect(
    await readAll(reader).then(
      () => "complete",
      () => "broken off",
    ),
  ).toBe("broken off")
  // Before the first page it is an ordinary problem.
  expect(await ada.get("/todos")).toMatchObject({
    status: 500,
    body: { error_code: "INTERNAL_ERROR" },
  })
  await sql`alter table away rename to todos`
})

test("a client that goes away ends the reading", async () => {
  await fill()
  const abort = new AbortController()
  const { reader } = await open(abort.signal)
  await reader.read()
  abort.abort()
  const lastRead = async () => {
    const [activity] = await sql<{ at: Date | null }[]>`
      select max(query_start) as at
      from pg_stat_activity
      where datname = current_database()
        and query like '%from todos%'
        and pid <> pg_backend_pid()`
    return activity?.at?.getTime()
  }
  await Bun.sleep(200)
  const before = await lastRead()
  await Bun.sleep(300)
  expect(await lastRead()).toBe(before as number)
})

test("HEAD of a long list reads no more than its first page", async () => {
  await fill()
  const head = await app.call("HEAD", "/api/v1/todos", {
    headers: { authorization: `Bearer ${ada.token}` },
  })
  expect(head).toMatchObject({ status: 200, text: "" })
  expect(head.headers.get("content-type")).toBe("application/json")
  expect((await ada.get("/todos?limit=1")).status).toBe(200)
  await empty()
})
