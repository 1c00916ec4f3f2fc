/** An instance that nobody uses asks the database nothing, so that one that scales to zero can. */
import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"
import { openSql } from "../support/sql.ts"

test("without requests the database is left alone, and what was revoked meanwhile holds", async () => {
  await using app = await startApp()
  const [ada, bob] = [await app.user(), await app.user()]
  const sql = openSql(app.databaseUrl, 1)
  const lastUse = async () => {
    const [row] = await sql<{ at: string | null }[]>`
      select max(state_change)::text as at
      from pg_stat_activity
      where datname = current_database()
        and backend_type = 'client backend'
        and pid <> pg_backend_pid()`
    return row?.at
  }
  const isAsked = async () => {
    const used = await lastUse()
    await Bun.sleep(5_000)
    return (await lastUse()) !== used
  }
  do for (const user of [ada, bob]) expect(await user.get("/todos")).toMatchObject({ status: 200 })
  while (!(await isAsked()))
  let isIdle = false
  while (!isIdle) isIdle = !(await isAsked())

  await using other = await startApp({ DATABASE_URL: app.databaseUrl })
  expect(await other.withToken(ada.token).post("/auth/logout")).toMatchObject({ status: 204 })
  expect(await bob.get("/todos")).toMatchObject({ status: 200 })
  // By now it is known to the instance again what was revoked, and its memory of tokens is good.
  expect(await ada.get("/todos")).toMatchObject({ status: 401 })
  await sql.end()
})
