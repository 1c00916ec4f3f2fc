/** The whole list as a stream, read fast, slowly or not to the end. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { setDisabled } from "../../src/accounts/admin.ts"
import { connect } from "../../src/database/connect.ts"
import type { Answer, User } from "../support/client.ts"
import { ids } from "../support/lists.ts"
import { LAST_CHUNK, openPaused } from "../support/paused.ts"
import { insertMany } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

/** With long descriptions more than the sockets in between hold. */
const MANY = 2_500
// One connection: a list that kept it would block everything else.
const { app, sql, account } = await shareApp({ DATABASE_POOL_SIZE: "1" })

const fill = (user: User, count: number, description = "null") =>
  insertMany(sql, user.id, count, { description, isCompleted: "n % 3 = 0" })

const ada = await app.user()
/** Has MANY todos, 10 MB. */
const hoarder = await app.user()
await fill(hoarder, MANY, "repeat('😀', 999)")

const empty = () => sql`delete from todos where owner_id = ${ada.id}`
afterEach(async () => {
  await empty()
})

const openAndPause = () => openPaused(app.url, "/todos", hoarder.token, sql)

test("a list of many pages is one array, complete and in order, with each filter", async () => {
  await fill(ada, 3_500)
  const whole = await ada.get("/todos?count=true")
  expect(whole.headers.get("content-length")).toBeNull()
  expect(whole.headers.get("content-type")).toBe("application/json")
  expect(whole.headers.get("x-total-count")).toBe("3500")
  expect(whole.headers.get("link")).toBeNull()
  const all = ids(whole.body)
  expect(all).toHaveLength(3_500)
  expect(all).toEqual(all.toSorted((a, b) => a - b))
  const descending = await ada.get("/todos?sort=-created_at&is_completed=true")
  expect(ids(descending.body)).toEqual(all.filter((_, i) => (i + 1) % 3 === 0).reverse())
})

test("a list that ends where a reading of it ends is complete", async () => {
  for (const count of [999, 1000, 1001, 1100, 1101]) {
    await fill(ada, count)
    expect(ids((await ada.get("/todos")).body)).toHaveLength(count)
    await empty()
  }
})

test("a slow reader slows the reading down, and holds no connection to the database", async () => {
  const { rest } = await openAndPause()
  expect((await ada.get("/users/me")).status).toBe(200)
  // The server has not read the end by now.
  const deleted = await sql`
    delete from todos
    where owner_id = ${hoarder.id}
      and id > (select max(id) - 100 from todos where owner_id = ${hoarder.id})`
  const text = await rest()
  expect(text).toEndWith(`]${LAST_CHUNK}`)
  const [left] = await sql`select count(*)::integer from todos where owner_id = ${hoarder.id}`
  expect(deleted.count).toBe(100)
  expect(text.match(/"id":/g)).toHaveLength(left?.["count"])
})

test("a list whose rest is deleted while it is read is complete JSON", async () => {
  const user = await app.user()
  await fill(user, MANY, "repeat('😀', 999)")
  const { rest } = await openPaused(app.url, "/todos", user.token, sql)
  await sql`delete from todos where owner_id = ${user.id}`
  const [, body = ""] = (await rest()).split(/\r\n\r\n(.*)/s)
  const todos: unknown = JSON.parse(`\r\n${body}`.replaceAll(/\r\n[\da-f]+\r\n(?:\r\n$)?/g, ""))
  expect(Array.isArray(todos)).toBe(true)
})

test("an error in the middle never looks like a complete list", async () => {
  const { rest } = await openAndPause()
  await sql`alter table todos rename to away`
  const text = await rest()
  // Before the first page it is an ordinary problem.
  const answer = await ada.get("/todos")
  await sql`alter table away rename to todos`
  expect(text).toStartWith("HTTP/1.1 200")
  expect(text).not.toContain(LAST_CHUNK)
  expect(answer).toMatchObject({ status: 503, body: { error_code: "SERVICE_UNAVAILABLE" } })
})

test("a client that goes away ends the reading", async () => {
  const { socket } = await openAndPause()
  const waiting = await sql.begin(async (transaction) => {
    // Whoever reads on now has to wait, and can be seen.
    await transaction`lock table todos in access exclusive mode`
    socket.destroy()
    await Bun.sleep(300)
    return transaction`select from pg_locks where relation = 'todos'::regclass and not granted`
  })
  expect(waiting.count).toBe(0)
})

test("HEAD of a long list has no body, and ends at once", async () => {
  await fill(ada, 1_500)
  const head = await app.call("HEAD", "/api/v1/todos", {
    headers: { authorization: `Bearer ${ada.token}` },
  })
  expect(head).toMatchObject({ status: 200, text: "" })
  expect(head.headers.get("content-type")).toBe("application/json")
})

const operator = connect(app.databaseUrl, 1)
afterAll(() => operator.end())

/** Their sessions end in each way, one after the other. */
const leaver = await account()
await fill(leaver, MANY, "repeat('😀', 999)")
let { password } = leaver

const done = ({ status, text }: Answer) => expect([200, 204], text).toContain(status)
const untilRefused = async (user: User) => {
  while ((await user.get("/users/me")).status !== 401) await Bun.sleep(20)
}
const ENDS: Record<string, (user: User) => Promise<unknown>> = {
  // First: the others refuse tokens that do not say when they were made.
  expiry: untilRefused,
  logout: (user) => user.post("/auth/logout").then(done),
  "a password change": async (user) => {
    const change = { current_password: password, new_password: "tractor beige lagoon" }
    done(await user.put("/users/me/password", change))
    password = change.new_password
  },
  // By another process, of which this one hears within a moment.
  disabling: async (user) => {
    await setDisabled(operator, user.id, true)
    await untilRefused(user)
  },
  deletion: (user) => user.delete("/users/me").then(done),
}

for (const [name, end] of Object.entries(ENDS))
  test(`${name} cuts off what is being read, and nothing that is made later is in it`, async () => {
    const tokenThatLasts = async (seconds: number) =>
      name === "expiry"
        ? tokenFor(leaver.id, { exp: Date.now() / 1000 + seconds })
        : (await app.session({ email: leaver.email, password })).token
    const openAll = async (seconds: number) => {
      const token = await tokenThatLasts(seconds)
      const paths = ["/todos", "/todos?q=o&sort=-title", "/users/me/export"]
      const open = await Promise.all(paths.map((path) => openPaused(app.url, path, token, sql)))
      return { open, user: { ...app.withToken(token), id: leaver.id } }
    }
    let opened = await openAll(3)
    // On a busy machine a token may expire before all are open.
    for (let life = 6; !opened.open.every(({ isOpen }) => isOpen); life *= 2) {
      for (const { socket } of opened.open) socket.destroy()
      opened = await openAll(life)
    }
    const { open, user } = opened
    await end(user)
    const [kept] = await sql`select id from users where id = ${user.id}`
    if (kept) await insertMany(sql, user.id, 1, { title: "'made later'" })
    for (const { rest } of open) {
      const text = await rest()
      expect(text).toStartWith("HTTP/1.1 200")
      // Not by `toContain`, which would print all of it.
      expect(text.includes(LAST_CHUNK)).toBe(false)
      expect(text.includes("made later")).toBe(false)
    }
    await sql`delete from todos where owner_id = ${user.id} and title = 'made later'`
    await setDisabled(operator, user.id, false)
  })
