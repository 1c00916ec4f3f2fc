/** The JSON that Postgres writes is that of a todo by its id, wherever it is, whatever the database is set to. */
import { afterAll, expect, test } from "bun:test"
import { startApp } from "../support/app.ts"
import { createDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"

const database = await createDatabase()
const sql = openSql(database.url)
const name = new URL(database.url).pathname.slice(1)
for (const setting of [
  "timezone to 'America/New_York'",
  "datestyle to 'SQL, DMY'",
  "intervalstyle to 'sql_standard'",
  "standard_conforming_strings to off",
  "escape_string_warning to on",
  "bytea_output to 'escape'",
  "extra_float_digits to -15",
])
  await sql.unsafe(`alter database ${name} set ${setting}`)
const app = await startApp({ DATABASE_URL: database.url })
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await sql.end()
  await database.drop()
})

const TEXTS = [
  'quotes " \\" \\ / and \\u0041 \u007f \', $1, %s',
  'a structure: ","id":1},{"id":2,"title":"',
  `controls: ${String.fromCharCode(...Array.from({ length: 31 }, (_, i) => i + 1))}`,
  "separators: \u2028 \u2029 \u0085 \ufeff",
  "\u{1f600}\u{10ffff} e\u0301 \u00e9 \ufffd \uffff",
  "x",
  "\u{1f600}".repeat(254),
]
const INSTANTS = [
  "2026-01-03T09:30:00.999999Z",
  "2026-01-03T09:30:00.999Z",
  "2026-01-03T09:30:00.000001Z",
  "2026-01-03T09:30:00Z",
  "0001-01-01T00:00:00Z",
  "1969-12-31T23:59:59.999999Z",
  "9999-12-31T23:59:59.999999Z",
]

test("a todo is the same text in every list, in changes, in an export and by its id", async () => {
  const ada = await app.user()
  const [tags, texts] = [new Map<number, string>(), new Map<number, string>()]
  for (const [i, text] of TEXTS.entries()) {
    const body = {
      title: text,
      description: [null, text, text.repeat(9).slice(0, 900), "\u{1f600}".repeat(999)][i % 4],
      is_completed: i % 2 === 0,
    }
    const { status, body: made } = await ada.post("/todos", body)
    expect(status).toBe(201)
    const { id } = made as { id: number }
    await sql`
      update todos
      set created_at = ${INSTANTS[i] ?? ""}::text::timestamptz,
        updated_at = ${INSTANTS.at(-1 - i) ?? ""}::text::timestamptz
      where id = ${id}`
    const found = await ada.get(`/todos/${id}`)
    texts.set(id, found.text)
    tags.set(id, found.headers.get("etag") ?? "")
  }
  const all = [...texts.values()]
  expect(
    new Set(JSON.parse(`[${all}]`).map((it: { created_at: string }) => it.created_at)),
  ).toEqual(
    new Set(
      ["00.999Z", "00.000Z"]
        .map((end) => `2026-01-03T09:30:${end}`)
        .concat([
          "0001-01-01T00:00:00.000Z",
          "1969-12-31T23:59:59.999Z",
          "9999-12-31T23:59:59.999Z",
        ]),
    ),
  )
  const textsOf = (list: string) => all.filter((text) => list.includes(text))
  const lengthOf = (texts: string[]) => texts.join().length + 2
  for (const sort of ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"])
    for (const query of [`sort=${sort}`, `sort=${sort}&limit=100`, `sort=${sort}&limit=1000`]) {
      const { text } = await ada.get(`/todos?${query}`)
      expect([query, textsOf(text), text.length]).toEqual([query, all, lengthOf(all)])
      const listed: string[] = []
      let path: string | undefined = `/todos?sort=${sort}&limit=1`
      while (path) {
        const page = await ada.get(path)
        listed.push(page.text.slice(1, -1))
        path = /^<\/api\/v1(.+)>/.exec(page.headers.get("link") ?? "")?.[1]
      }
      expect(`[${listed}]`).toBe(text)
    }
  const found = await ada.get("/todos?q=structure")
  expect(found.text).toBe(`[${all[1]}]`)

  const deleted = [...texts.keys()][0] ?? 0
  await ada.delete(`/todos/${deleted}`)
  const { next } = (await ada.get("/todos/changes")).body as { next: string }
  const changes = [...texts].map(([id, todo]) =>
    id === deleted
      ? `{"id":${id},"etag":null,"todo":null}`
      : `{"id":${id},"etag":${JSON.stringify(tags.get(id))},"todo":${todo}}`,
  )
  const initial = await ada.get("/todos/changes?limit=1000")
  expect(initial.text).toBe(`{"changes":[${changes.slice(1)}],"next":"${next}","has_more":false}`)
  const whole = (await ada.get("/users/me/export")).text
  expect(textsOf(whole)).toEqual(all.slice(1))
})

test("a tombstone and a change after it come in the order of their revisions, as text", async () => {
  const ada = await app.user()
  const ids: number[] = []
  for (const title of ["a", "b", "c"])
    ids.push(((await ada.post("/todos", { title })).body as { id: number }).id)
  const { next: since } = (await ada.get("/todos/changes")).body as { next: string }
  await ada.delete(`/todos/${ids[0]}`)
  await ada.put(`/todos/${ids[2]}`, { title: "new" })
  const todo = await ada.get(`/todos/${ids[2]}`)
  const { text } = await ada.get(`/todos/changes?since=${since}`)
  const etag = JSON.stringify(todo.headers.get("etag"))
  expect(text).toStartWith(
    `{"changes":[{"id":${ids[0]},"etag":null,"todo":null},` +
      `{"id":${ids[2]},"etag":${etag},"todo":${todo.text}}],"next":"`,
  )
})
