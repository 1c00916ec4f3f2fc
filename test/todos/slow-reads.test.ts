/** Slow reads of a user take turns: two are under way, the others wait, and nobody else feels them. */
import { expect, test } from "bun:test"
import type { User } from "../support/client.ts"
import { setClock } from "../support/clock.ts"
import { untilItHasLooked } from "../support/raw.ts"
import { insertMany } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()

const SLOW = ["/todos", "/todos?limit=101", "/todos?q=o", "/todos/changes", "/users/me/export"]

/** While `work` runs, whoever reads todos waits, and no limit of time is over, however busy the machine is. */
const whileLocked = async <Result>(work: (reading: () => Promise<number>) => Promise<Result>) => {
  using _ = setClock()
  return await sql.begin(async (transaction) => {
    await transaction`lock table todos in access exclusive mode`
    const reading = async () => {
      const [row] = await transaction<[{ count: number }]>`
        select count(*)
        from pg_locks
        where relation = 'todos'::regclass
          and not granted`
      return row.count
    }
    return { value: await work(reading) }
  })
}

const statuses = (answers: { status: number }[]) =>
  Object.fromEntries(
    Map.groupBy(answers, ({ status }) => status)
      .entries()
      .map(([status, all]) => [status, all.length]),
  )

const userWithTodos = async () => {
  const user = await app.user()
  await insertMany(sql, user.id, 150)
  return user
}

const ask = (user: User, count: number) =>
  Array.from({ length: count }, (_, i) => user.get(SLOW[i % SLOW.length] ?? ""))

test("two slow reads of a user are under way, 100 wait, and one more is refused at once", async () => {
  const [ada, bob] = [await userWithTodos(), await userWithTodos()]
  const { value } = await whileLocked(async (reading) => {
    const asked = ask(ada, 102)
    while ((await reading()) < 2) await Bun.sleep(5)
    let refused: { status: number; headers: Headers } | undefined
    // Until all others wait.
    while (refused?.status !== 429) {
      refused = await Promise.race([ada.get("/todos?q=x"), Bun.sleep(20).then(() => undefined)])
    }
    expect(refused.headers.get("retry-after")).toBe("1")
    expect(await reading()).toBe(2)
    // Neither another user nor what is small takes a turn.
    const others = [bob.get("/todos"), ada.get("/todos?limit=100"), bob.get("/todos?q=x")]
    while ((await reading()) < 5) await Bun.sleep(5)
    expect((await ada.get("/users/me")).status).toBe(200)
    return { asked, others }
  })
  expect(statuses(await Promise.all(value.others))).toEqual({ 200: 3 })
  // On a busy machine the lock may outlast the limits of the two statements, and of who waits.
  const {
    200: read = 0,
    429: late = 0,
    503: cancelled = 0,
  } = statuses(await Promise.all(value.asked))
  expect(read + late + cancelled).toBe(102)
  expect(read).toBeGreaterThan(0)
  expect(cancelled).toBeLessThanOrEqual(2)
})

test("the slow reads of many users leave two connections to what is short", async () => {
  const users = await Promise.all(Array.from({ length: 8 }, userWithTodos))
  const { value } = await whileLocked(async (reading) => {
    const asked = users.flatMap((user) => ask(user, 4))
    while ((await reading()) < 8) await Bun.sleep(5)
    await Bun.sleep(50)
    expect(await reading()).toBe(8)
    for (const user of users) expect((await user.get("/users/me")).status).toBe(200)
    return asked
  })
  expect(statuses(await Promise.all(value))).toEqual({ 200: 32 })
})

test("what waits for a client that has left is dropped", async () => {
  const ada = await userWithTodos()
  const { value } = await whileLocked(async (reading) => {
    const first = ask(ada, 2)
    while ((await reading()) < 2) await Bun.sleep(5)
    const leaving = new AbortController()
    const headers = { authorization: `Bearer ${ada.token}` }
    const left = Array.from({ length: 150 }, () =>
      fetch(`${app.url}/api/v1/todos`, { headers, signal: leaving.signal }).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    const isRefused = async () => (await Promise.race([Promise.any(left), Bun.sleep(10)])) === 429
    while (!(await isRefused()));
    leaving.abort()
    await Promise.all(left)
    await untilItHasLooked(app.url)
    return [...first, ...ask(ada, 50)]
  })
  expect(statuses(await Promise.all(value))).toEqual({ 200: 52 })
})

test("a stream takes no turn while its client does not read, and all are read in the end", async () => {
  const ada = await app.user()
  await insertMany(sql, ada.id, 1_500, { description: "repeat('😀', 999)" })
  const headers = { authorization: `Bearer ${ada.token}` }
  const streams = await Promise.all(
    ["/todos", "/todos?q=o", "/users/me/export", "/todos/changes?limit=1000"].map((path) =>
      fetch(`${app.url}/api/v1${path}`, { headers }),
    ),
  )
  expect((await ada.get("/todos?q=o&limit=1")).status).toBe(200)
  for (const stream of streams) expect((await stream.text()).length).toBeGreaterThan(1_000_000)
})

test("six short pages of a user are read at once, and the others wait, but are not refused", async () => {
  const ada = await userWithTodos()
  const paths = ["/todos?limit=100", "/todos/changes?limit=100"]
  const { value } = await whileLocked(async (reading) => {
    const asked = Array.from({ length: 30 }, (_, i) => ada.get(paths[i % 2] ?? ""))
    while ((await reading()) < 6) await Bun.sleep(5)
    await Bun.sleep(50)
    expect(await reading()).toBe(6)
    return { asked }
  })
  expect(statuses(await Promise.all(value.asked))).toEqual({ 200: 30 })
})
