/** A database of release 1.0.0: upgraded, written to by both, and rolled back. */

import { expect, test } from "bun:test"
import { migrationFiles } from "../../src/database/migrations/files.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { startApp } from "../support/app.ts"
import { Copy, listById } from "../support/copy.ts"
import { createEmptyDatabase } from "../support/postgres.ts"
import { previousRelease } from "../support/previous-release.ts"
import { openSql } from "../support/sql.ts"
import { tokenFor } from "../support/tokens.ts"

const FIRST = "20260101000008"
const OWNER = 4711

const before = Object.fromEntries(Object.entries(migrationFiles()).filter(([file]) => file < FIRST))

/** One without revisions, but with todos. */
const oldDatabase = async () => {
  const database = await createEmptyDatabase()
  await migrate(database.url, "up", { files: before })
  const sql = openSql(database.url, 8)
  await sql`insert into users (id) values (${OWNER})`
  const old = previousRelease(sql, OWNER)
  const ids: number[] = []
  for (let i = 0; i < 5; i++) ids.push(await old.create(`todo ${i}`))
  return {
    url: database.url,
    sql,
    old,
    ids,
    async [Symbol.asyncDispose]() {
      await sql.end()
      await database.drop()
    },
  }
}

test("todos from before are in the first walk, and what the previous release writes in all changes", async () => {
  await using database = await oldDatabase()
  const { old, ids } = database
  await using app = await startApp({ DATABASE_URL: database.url })
  const user = { ...app.withToken(tokenFor(OWNER)), id: OWNER }
  const copies: Copy[] = []
  const keep = async () => {
    const copy = new Copy(user, 2)
    await copy.fetch()
    copies.push(copy)
  }
  await keep()
  expect(copies[0]?.todos().map(({ id }) => id)).toEqual(ids)
  const [first = 0, second = 0, third = 0] = ids
  await old.create("new")
  await keep()
  await old.update(first, "changed by the previous release")
  await keep()
  await user.put(`/todos/${first}`, { title: "changed by this one" })
  await keep()
  await old.createOnce("key", "once")
  await keep()
  await old.delete(second)
  await keep()
  await user.delete(`/todos/${third}`)
  await old.update(first, "changed by this one")
  const list = await listById(user)
  for (const copy of copies) {
    await copy.fetch()
    expect(copy.todos()).toEqual(list)
  }
  await old.deleteAll()
  for (const copy of copies) {
    await copy.fetch()
    expect(copy.todos()).toEqual([])
  }
})

test("both releases change the same todos at once, and neither fails", async () => {
  await using database = await oldDatabase()
  const { old, ids } = database
  await using app = await startApp({ DATABASE_URL: database.url })
  const user = { ...app.withToken(tokenFor(OWNER)), id: OWNER }
  const copy = new Copy(user)
  await copy.fetch()
  const rounds = Array.from({ length: 15 }, (_, round) => round)
  await Promise.all(
    ids.flatMap((id) => [
      (async () => {
        for (const round of rounds) await old.update(id, `old ${round}`)
      })(),
      (async () => {
        for (const round of rounds) {
          const { status } = await user.put(`/todos/${id}`, { title: `new ${round}` })
          expect(status).toBe(200)
          await copy.fetch()
        }
      })(),
    ]),
  )
  await copy.fetch()
  expect(copy.todos()).toEqual(await listById(user))
})

test("a user whom another system's token names is still told from one who is there", async () => {
  await using database = await oldDatabase()
  await migrate(database.url, "up")
  const unknown = previousRelease(database.sql, OWNER + 1).create("a")
  await expect(unknown).rejects.toMatchObject({ constraint_name: "todos_owner_id_fkey" })
})

test("a user is deleted with everything, by either release", async () => {
  await using database = await oldDatabase()
  const { sql, ids } = database
  await migrate(database.url, "up")
  await previousRelease(sql, OWNER).delete(ids[0] ?? 0)
  await sql`delete from users where id = ${OWNER}`
  expect(await sql`select from todos`).toHaveLength(0)
  expect(await sql`select from revisions`).toHaveLength(0)
})

test("every step back leaves the todos to the release before, and every step up works again", async () => {
  await using database = await oldDatabase()
  const { url, old, ids, sql } = database
  const count = async () => (await sql`select from todos`).count
  await migrate(url, "up")
  await old.update(ids[0] ?? 0, "changed")
  let id = 0
  for (let last = ""; last !== FIRST; ) {
    last = (await migrate(url, "down")).changed[0] ?? FIRST
    id = await old.create("created on the way down")
    await old.delete(await old.create("created and deleted"))
    expect(await count()).toBe(ids.push(id))
  }
  await migrate(url, "up")
  await old.update(id, "changed again")
  const [row] = await sql`select revision from revisions where owner_id = ${OWNER}`
  expect(row?.["revision"]).toBe(1)
})

test("every migration can be rolled back and applied again", async () => {
  const { url, drop } = await createEmptyDatabase()
  const versions = (await migrate(url, "up")).changed
  for (const version of versions.toReversed())
    expect((await migrate(url, "down")).changed).toEqual([version])
  expect((await migrate(url, "up")).changed).toEqual(versions)
  await drop()
})
