/** The table of members: what follows from it is the same everywhere. */
import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { todoJson } from "../../src/todos/members.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()

const TITLES = [
  'quotes " and \\ and / and \u007f',
  "all controls: \u0001\u0002\b\t\n\u000b\f\r\u000e\u001f",
  "separators: \u2028 \u2029 \u0085",
  "\u{1f600}\u{10ffff} e\u0301 \u00e9",
  "<script>&amp;</script>",
  "x".repeat(254),
  "\u{1f600}".repeat(254),
]
const INSTANTS = [
  "0001-01-01T00:00:00.000Z",
  "2026-01-03T09:30:00.999999Z",
  "2026-01-03T09:30:00.0009Z",
  "2026-01-03T09:30:00.1Z",
  "9999-12-31T23:59:59.999Z",
]

test("the JSON that Postgres writes of a todo is the JSON of the service, byte for byte", async () => {
  const ada = await app.user()
  for (const [i, title] of TITLES.entries()) {
    const body = { title, description: [null, "", title][i % 3], is_completed: i % 2 === 0 }
    const { status, body: made } = await ada.post("/todos", body)
    expect(status).toBe(201)
    const { id } = made as { id: number }
    for (const at of INSTANTS) {
      await sql`
        update todos
        set created_at = ${at}, updated_at = ${at}
        where id = ${id}`
      const { text } = await ada.get(`/todos/${id}`)
      const [row] = await sql.unsafe(
        `select ${todoJson("todos")} as json from todos where id = $1`,
        [id],
      )
      expect(row?.["json"]).toBe(text)
    }
  }
})

test("a member is named in the table alone, and where lists sort and filter by it", () => {
  const root = join(import.meta.dir, "../../src/todos")
  const named = (readdirSync(root, { recursive: true }) as string[])
    .filter((file) => file.endsWith(".ts") && !file.startsWith("lists"))
    // The example of a batch names one.
    .filter((file) => !["members.ts", "batch/schemas.ts"].includes(file))
    .filter((file) => readFileSync(join(root, file), "utf8").includes("is_completed"))
  expect(named).toEqual([])
})
