/** What db/README tells whoever changes rows by hand. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { listById } from "../support/replica.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp({ MAX_TODOS_PER_USER: "4" })

const statement = () => {
  const readme = readFileSync(join(import.meta.dir, "..", "..", "db", "README.md"), "utf8")
  return /## Changing rows by hand.*?```sql\n(.*?)```/s.exec(readme)?.[1] ?? ""
}

test("after rows were changed by hand every replica begins anew, and todos are counted as they are", async () => {
  const [ada, bob] = [await app.user(), await app.user()]
  for (const title of ["one", "two", "three"]) await ada.post("/todos", { title })
  await bob.post("/todos", { title: "bob's" })
  const { next } = (await ada.get("/todos/changes")).body as { next: string }
  const tag = (await ada.get("/todos")).headers.get("etag") ?? ""
  await sql.begin(async (transaction) => {
    await transaction`delete from todos where owner_id = ${ada.id} and title <> 'one'`
    await transaction`delete from todos where owner_id = ${bob.id}`
    await transaction`
      update todos
      set title = 'by hand', version = version + 1
      where owner_id = ${ada.id}`
    await transaction`
      insert into todos (owner_id, title, revision)
      values (${ada.id}, 'new', 0)`
    await transaction.unsafe(statement())
  })
  expect((await ada.get(`/todos/changes?since=${next}`)).status).toBe(410)
  expect((await ada.get("/todos", { "if-none-match": tag })).status).toBe(200)
  const { changes } = (await ada.get("/todos/changes")).body as { changes: { todo: object }[] }
  const list = await listById(ada)
  expect(list).toMatchObject([{ title: "by hand" }, { title: "new" }])
  expect(changes.map(({ todo }) => todo)).toEqual(list)
  for (const [user, count] of [
    [ada, 2],
    [bob, 0],
  ] as const) {
    expect((await user.get("/todos?count=true")).headers.get("x-total-count")).toBe(String(count))
    for (let made = count; made < 4; made++)
      expect((await user.post("/todos", { title: `${made}` })).status).toBe(201)
    expect((await user.post("/todos", { title: "too many" })).status).toBe(403)
  }
})
