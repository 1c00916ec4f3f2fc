/** Lists: filters, sorts, searches, and all pages in turn. */
import { expect, test } from "bun:test"
import fc from "fast-check"
import { SLICE } from "../../src/todos/lists/queries.ts"
import { startApp } from "../support/app.ts"
import type { User } from "../support/client.ts"
import { ids, insertRows, type Listed, nextPath, type Row, readPages } from "../support/lists.ts"
import { shareApp } from "../support/shared-app.ts"
import { secondsFromNow, signToken } from "../support/tokens.ts"

const { app, sql } = await shareApp()

const sorts = ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"] as const

const row = (values: Partial<Row> = {}): Row => ({
  title: "todo",
  description: null,
  is_completed: false,
  created_at: "2026-01-03T09:30:00Z",
  updated_at: "2026-01-03T09:30:00Z",
  ...values,
})
const rows = (count: number, values: (i: number) => Partial<Row> = () => ({})) =>
  Array.from({ length: count }, (_, i) => row(values(i)))

const userWith = async (wanted: Row[]) => {
  const user = await app.user()
  return { user, listed: await insertRows(sql, user.id, wanted) }
}

/** UTF-8 sorts as code points do; instants here all have the same form. */
const expectedIds = (listed: Listed[], sort: (typeof sorts)[number]) => {
  const key = sort.replace("-", "") as "title" | "created_at" | "updated_at"
  const ascending = listed
    .toSorted((a, b) => Buffer.compare(Buffer.from(a[key]), Buffer.from(b[key])) || a.id - b.id)
    .map(({ id }) => id)
  return sort.startsWith("-") ? ascending.reverse() : ascending
}

const total = (headers: Headers) => headers.get("x-total-count")

test("the whole list is an array of todos, the oldest first", async () => {
  const user = await app.user()
  expect((await user.get("/todos")).text).toBe("[]")
  const created = []
  for (const title of ["b", "a", "c"]) created.push((await user.post("/todos", { title })).body)
  const answer = await user.get("/todos")
  expect(answer.body).toEqual(created)
  expect(answer.headers.get("content-type")).toBe("application/json")
  expect(answer.headers.get("cache-control")).toBe("private, no-cache")
  expect(answer.headers.get("link")).toBeNull()
})

test("nobody sees the todos of others", async () => {
  await userWith(rows(3))
  const user = await app.user()
  for (const query of ["", "?limit=10", "?is_completed=false", "?q=todo", "?sort=-title"])
    expect((await user.get(`/todos${query}`)).body).toEqual([])
  expect(total((await user.get("/todos?count=true")).headers)).toBe("0")
})

for (const sort of sorts)
  test(`all pages by ${sort} are the whole list, with each filter`, async () => {
    const { user, listed } = await userWith(
      rows(60, (i) => ({
        title: ["Ä", "a", "B", "z", "é", "😀", "\uffee"][i % 7] + String(i % 4),
        is_completed: i % 3 === 0,
        created_at: `2026-01-03T09:30:00.${String(i % 11).padStart(6, "0")}Z`,
        updated_at: `2026-01-03T09:30:00.${String((i * 7) % 13).padStart(6, "0")}Z`,
      })),
    )
    for (const [filter, matches] of [
      ["", () => true],
      ["&is_completed=true", ({ is_completed }: Listed) => is_completed],
      ["&is_completed=false", ({ is_completed }: Listed) => !is_completed],
      ["&q=ä", ({ title }: Listed) => title.startsWith("Ä")],
      ["&is_completed=false&q=1", (it: Listed) => !it.is_completed && it.title.includes("1")],
    ] as const) {
      const expected = expectedIds(listed.filter(matches), sort)
      const whole = await user.get(`/todos?sort=${sort}${filter}&count=true`)
      expect(ids(whole.body)).toEqual(expected)
      expect(total(whole.headers)).toBe(String(expected.length))
      expect(await readPages(user, `limit=7&sort=${sort}${filter}`)).toEqual(expected)
    }
  })

test("120 todos of one title and one instant are read one by one", async () => {
  const { user, listed } = await userWith(rows(120, (i) => ({ is_completed: i % 2 === 0 })))
  for (const sort of sorts) {
    const expected = expectedIds(listed, sort)
    expect(await readPages(user, `limit=${sort === "title" ? 1 : 50}&sort=${sort}`)).toEqual(
      expected,
    )
  }
})

const character = fc.constantFrom("a", "A", "b", "ä", "Ä", "ß", "σ", "Σ", "ς", "%", "_", "\\", "😀")
const title = fc.string({ unit: character, minLength: 1, maxLength: 3 })
const instant = fc
  .integer({ min: 0, max: 12 })
  .map((i) => `2026-01-03T09:30:00.${String(i).padStart(6, "0")}Z`)
const someRow = fc.record({
  title,
  description: fc.option(title),
  is_completed: fc.boolean(),
  created_at: instant,
  updated_at: instant,
})

test("the pages of any todos are what sorting and filtering them gives", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(someRow, { maxLength: 40 }),
      fc.constantFrom(...sorts),
      fc.option(fc.boolean(), { nil: undefined }),
      fc.integer({ min: 1, max: 12 }),
      async (wanted, sort, isCompleted, limit) => {
        const { user, listed } = await userWith(wanted)
        const filter = isCompleted === undefined ? "" : `&is_completed=${isCompleted}`
        const matching = listed.filter(
          ({ is_completed }) => isCompleted === undefined || is_completed === isCompleted,
        )
        const found = await readPages(user, `sort=${sort}&limit=${limit}${filter}`)
        expect(found).toEqual(expectedIds(matching, sort))
      },
    ),
    { seed: 20260103, numRuns: 25 },
  )
})

test("a search finds what ignoring case finds, and nothing else", async () => {
  const folded = (text: string) => text.toLowerCase().toUpperCase()
  const { user, listed } = await userWith(fc.sample(someRow, { seed: 20260103, numRuns: 150 }))
  for (const q of fc.sample(title, { seed: 20260104, numRuns: 40 })) {
    const answer = await user.get(`/todos?${new URLSearchParams({ q })}`)
    const matching = listed.filter((it) =>
      [it.title, it.description ?? ""].some((text) => folded(text).includes(folded(q))),
    )
    expect(ids(answer.body)).toEqual(expectedIds(matching, "created_at"))
  }
})

test("a search takes every character as it is, in title and description", async () => {
  const texts = ["100%", "a_b", "c\\d", "Straße", "ΟΔΟΣ", "İstanbul", "x", "tea\ntime", "Ünïcödé"]
  const { user, listed } = await userWith(
    texts.map((text, i) => row(i % 2 ? { title: text } : { title: "-", description: text })),
  )
  const found = async (q: string) => {
    const { body } = await user.get(`/todos?${new URLSearchParams({ q })}`)
    return ids(body).map((id) => texts[listed.findIndex((it) => it.id === id)])
  }
  for (const [q, expected] of [
    ["%", ["100%"]],
    ["_", ["a_b"]],
    ["\\", ["c\\d"]],
    ["STRASSE", ["Straße"]],
    ["οδοσ", ["ΟΔΟΣ"]],
    ["οδος", ["ΟΔΟΣ"]],
    ["ÜNÏCÖDÉ", ["Ünïcödé"]],
    ["A\nT", ["tea\ntime"]],
    ["a b", []],
    [".*", []],
    ["X", ["x"]],
    ["-x", []],
  ] as const)
    expect([q, ...(await found(q))]).toEqual([q, ...expected])
})

test("todos that were there all the time are read once while others come and go", async () => {
  for (const sort of sorts) {
    const { user, listed } = await userWith(
      rows(90, (i) => ({
        title: `todo ${String(i).padStart(3, "0")}`,
        created_at: `2026-01-03T09:30:00.${String(i).padStart(6, "0")}Z`,
        updated_at: `2026-01-03T09:30:00.${String(i).padStart(6, "0")}Z`,
      })),
    )
    const kept = listed.filter((_, i) => i % 3 === 0)
    const [changed, deleted] = [1, 2].map((rest) => listed.filter((_, i) => i % 3 === rest))
    const found = await readPages(user, `limit=8&sort=${sort}`, async (page) => {
      await user.delete(`/todos/${deleted?.[(page * 7) % 30]?.id}`)
      await user.patch(`/todos/${changed?.[(page * 11) % 30]?.id}`, { title: `new ${page}` })
      await user.post("/todos", { title: `todo ${String((page * 37) % 90).padStart(3, "0")}x` })
    })
    const keptIds = new Set(kept.map(({ id }) => id))
    expect(found.filter((id) => keptIds.has(id))).toEqual(expectedIds(kept, sort))
  }
})

test("a page that ends with the list has no link, and one before the end has", async () => {
  const { user } = await userWith(rows(3))
  for (const [limit, hasNext] of [
    [1, true],
    [2, true],
    [3, false],
    [1000, false],
  ] as const)
    expect(nextPath((await user.get(`/todos?limit=${limit}`)).headers) !== undefined).toBe(hasNext)
})

test("the link keeps every parameter", async () => {
  const { user } = await userWith(rows(5, () => ({ title: "50% & more + <ä>" })))
  const parameters = {
    limit: "2",
    sort: "-title",
    is_completed: "false",
    q: "50% & more + <Ä>",
    count: "true",
  }
  const first = await user.get(`/todos?${new URLSearchParams(parameters)}`)
  const next = nextPath(first.headers) ?? ""
  expect(Object.fromEntries(new URLSearchParams(next.split("?")[1]))).toEqual({
    ...parameters,
    cursor: expect.any(String),
  })
  const second = await user.get(next)
  expect([ids(second.body).length, total(first.headers), total(second.headers)]).toEqual([
    2,
    "5",
    "5",
  ])
})

test("the link begins with the prefix of a trusted proxy", async () => {
  const { user } = await userWith(rows(2))
  await using proxied = await startApp({
    DATABASE_URL: app.databaseUrl,
    TRUSTED_PROXIES: "127.0.0.1",
  })
  const headers = { "x-forwarded-prefix": "/tasks" }
  for (const [instance, prefix] of [
    [proxied, "/tasks"],
    [app, ""],
  ] as const) {
    const answer = await instance.withToken(user.token).get("/todos?limit=1", headers)
    expect(answer.headers.get("link")).toStartWith(`<${prefix}/api/v1/todos?limit=1&cursor=`)
  }
})

test("X-Total-Count comes only where it was asked for", async () => {
  const { user } = await userWith(rows(3))
  expect(total((await user.get("/todos?limit=1")).headers)).toBeNull()
  expect(total((await user.get("/todos?count=false")).headers)).toBeNull()
  expect(total((await user.get("/todos?limit=1&count=true")).headers)).toBe("3")
})

const firstCursor = async (user: User, query: string) => {
  const { headers } = await user.get(`/todos?${query}`)
  return new URLSearchParams(nextPath(headers)?.split("?")[1]).get("cursor") ?? ""
}

const expectWrongCursor = async (user: User, query: string, cursor: string) =>
  expect(await user.get(`/todos?${query}&cursor=${encodeURIComponent(cursor)}`)).toMatchObject({
    status: 400,
    body: { errors: [{ parameter: "cursor" }] },
  })

test("a cursor is bound to its user, sort and filters, and needs a limit", async () => {
  const { user } = await userWith(rows(5))
  const { user: bob } = await userWith(rows(5))
  const cursor = await firstCursor(user, "limit=2")
  expect((await user.get(`/todos?limit=3&sort=created_at&cursor=${cursor}`)).status).toBe(200)
  expect((await user.get(`/todos?limit=3&count=true&cursor=${cursor}`)).status).toBe(200)
  await expectWrongCursor(bob, "limit=2", cursor)
  for (const query of [
    "limit=2&sort=-created_at",
    "limit=2&sort=updated_at",
    "limit=2&is_completed=false",
    "limit=2&q=todo",
    "sort=created_at",
  ])
    await expectWrongCursor(user, query, cursor)
})

test("a cursor that was tampered with is refused, whatever character it is", async () => {
  const { user } = await userWith(rows(3, () => ({ title: "😀'; drop table todos; --" })))
  const cursor = await firstCursor(user, "limit=1&sort=title")
  for (let i = 0; i < cursor.length; i += 3)
    for (const other of ["A", "B", "."])
      if (cursor[i] !== other)
        await expectWrongCursor(
          user,
          "limit=1&sort=title",
          cursor.slice(0, i) + other + cursor.slice(i + 1),
        )
  const last = cursor.at(-1) ?? ""
  for (const other of "AEIMQUYcgkosw048BFJNRVZdhlptx159".replace(last, ""))
    await expectWrongCursor(user, "limit=1&sort=title", cursor.slice(0, -1) + other)
  for (const made of ["", ".", "x", `${cursor}=`, `${cursor}A`, cursor.slice(0, -1), ` ${cursor}`])
    await expectWrongCursor(user, "limit=1&sort=title", made)
  const [, signature] = cursor.split(".")
  const forged = Buffer.from(JSON.stringify(["", 1])).toString("base64url")
  await expectWrongCursor(user, "limit=1&sort=title", `${forged}.${signature}`)
})

test("instances that share a secret key take each other's cursors, others do not", async () => {
  const user = await app.user()
  await insertRows(sql, user.id, rows(3))
  const DATABASE_URL = app.databaseUrl
  const cursor = await firstCursor(user, "limit=1")
  await using twin = await startApp({ DATABASE_URL })
  const query = `/todos?limit=1&cursor=${cursor}`
  expect((await twin.withToken(user.token).get(query)).status).toBe(200)
  const anotherKey = "another key ".repeat(6)
  await using other = await startApp({ DATABASE_URL, SECRET_KEY: anotherKey })
  const token = signToken({ sub: String(user.id), exp: secondsFromNow(60) }, {}, anotherKey)
  expect((await other.withToken(token).get("/todos")).status).toBe(200)
  expect((await other.withToken(token).get(query)).status).toBe(400)
})

const refusals: Record<string, string[]> = {
  limit: [
    "",
    "0",
    "-1",
    "1001",
    "1e2",
    "+5",
    "05",
    "1.0",
    " 1",
    "٣",
    "ten",
    "10000000000000000000",
  ],
  is_completed: ["", "1", "TRUE", "yes", "null"],
  count: ["", "1", "True"],
  sort: [
    "",
    "id",
    "+title",
    "--title",
    "Title",
    "title,id",
    "title desc",
    "owner_id",
    "constructor",
  ],
  q: ["", "x".repeat(101), "%00", "%ff"],
  offset: ["0"],
  LIMIT: ["1"],
}
for (const [parameter, wrong] of Object.entries(refusals))
  test(`a wrong ${parameter} is refused by its name`, async () => {
    const user = await app.user()
    for (const value of wrong)
      expect(await user.get(`/todos?${parameter}=${value}`)).toMatchObject({
        status: 400,
        body: { error_code: "BAD_REQUEST", errors: [{ parameter }] },
      })
  })

test("a repeated parameter is refused, and every wrong one is named", async () => {
  const user = await app.user()
  expect(await user.get("/todos?limit=1&limit=1")).toMatchObject({
    status: 400,
    body: { errors: [{ parameter: "limit" }] },
  })
  const { body } = await user.get("/todos?limit=0&sort=x&page=1")
  const { errors } = body as { errors: { parameter: string; message: string }[] }
  expect(errors.map(({ parameter }) => parameter).sort()).toEqual(["limit", "page", "sort"])
})

test("a search has at most 100 characters, emoji too", async () => {
  const user = await app.user()
  const search = (length: number) => user.get(`/todos?q=${encodeURIComponent("😀".repeat(length))}`)
  expect([(await search(100)).status, (await search(101)).status]).toEqual([200, 400])
})

test("HEAD of a list answers as GET does, without a body", async () => {
  const { user } = await userWith(rows(3))
  const headers = { authorization: `Bearer ${user.token}` }
  for (const query of ["", "?limit=2&count=true"]) {
    const get = await app.call("GET", `/api/v1/todos${query}`, { headers })
    const head = await app.call("HEAD", `/api/v1/todos${query}`, { headers })
    expect(head).toMatchObject({ status: 200, text: "" })
    for (const name of ["link", "x-total-count", "content-type", "content-length"])
      expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)])
  }
})

test("a search goes through a long list in slices, and finds and counts all that match", async () => {
  // On both sides of the ends of the first two slices.
  const ends = [SLICE, 2 * SLICE].flatMap((end) => [end - 1, end, end + 1])
  const marked = new Set([0, 499, 500, ...ends, 2 * SLICE + 499])
  const count = 2 * SLICE + 500
  const { user, listed } = await userWith(
    rows(count, (i) => ({
      title: marked.has(i) ? `needle ${i}` : `hay ${i}`,
      is_completed: i % 2 === 0,
      created_at: `2026-01-03T09:30:00.${String(i).padStart(6, "0")}Z`,
      updated_at: `2026-01-03T09:30:00.${String(count - i).padStart(6, "0")}Z`,
    })),
  )
  const needles = listed.filter(({ title }) => title.startsWith("needle"))
  for (const sort of sorts) {
    const expected = expectedIds(needles, sort)
    expect(await readPages(user, `q=needle&limit=3&sort=${sort}`)).toEqual(expected)
    expect(ids((await user.get(`/todos?q=needle&sort=${sort}`)).body)).toEqual(expected)
  }
  const done = needles.filter(({ is_completed }) => is_completed)
  expect(await readPages(user, "q=needle&is_completed=true&limit=4")).toEqual(
    expectedIds(done, "created_at"),
  )
  const counted = async (query: string) =>
    total((await user.get(`/todos?count=true&limit=1&${query}`)).headers)
  expect(await counted("q=needle")).toBe("10")
  expect(await counted("q=needle&is_completed=true")).toBe(String(done.length))
  expect(await counted("q=hay")).toBe(String(count - 10))
  expect(await counted("")).toBe(String(count))
})

test("no answer is unchanged by the tag of another user, of an empty list neither", async () => {
  const [ada, bob] = [await app.user(), await app.user()]
  const lists = ["", "?limit=10", "?sort=-title", "?q=milk", "?is_completed=false&count=true"]
  const tagOf = async (user: User, path: string) => {
    const tag = (await user.get(path)).headers.get("etag") ?? ""
    expect((await user.get(path, { "if-none-match": tag })).status).toBe(304)
    return tag
  }
  for (const title of [undefined, "milk", "more milk"]) {
    if (title) for (const user of [ada, bob]) await user.post("/todos", { title })
    for (const query of lists) {
      const path = `/todos${query}`
      const tag = await tagOf(ada, path)
      for (const method of ["GET", "HEAD"]) {
        const headers = { authorization: `Bearer ${bob.token}`, "if-none-match": tag }
        const answer = await app.call(method, `/api/v1${path}`, { headers })
        expect([path, answer.status]).toEqual([path, 200])
      }
      expect(await tagOf(bob, path)).not.toBe(tag)
    }
  }
  const [{ id }] = (await ada.get("/todos")).body as [Listed]
  const known = { "if-none-match": await tagOf(ada, `/todos/${id}`) }
  expect((await bob.get(`/todos/${id}`, known)).status).toBe(404)
  const { status } = await bob.put(`/todos/${id}`, { title: "x" }, { "if-match": '"1"' })
  expect(status).toBe(404)
})

test("tags are of the secret key, which instances share", async () => {
  const user = await app.user()
  const DATABASE_URL = app.databaseUrl
  const tag = (await user.get("/todos")).headers.get("etag")
  await using twin = await startApp({ DATABASE_URL })
  expect((await twin.withToken(user.token).get("/todos")).headers.get("etag")).toBe(tag)
  const anotherKey = "another key ".repeat(6)
  await using other = await startApp({ DATABASE_URL, SECRET_KEY: anotherKey })
  const token = signToken({ sub: String(user.id), exp: secondsFromNow(60) }, {}, anotherKey)
  expect((await other.withToken(token).get("/todos")).headers.get("etag")).not.toBe(tag)
})
