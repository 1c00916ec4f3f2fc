/** DELETE /users/me: the account is refused first, then emptied, by whoever comes to it. */
import { afterAll, expect, test } from "bun:test"
import { deleteAccount, endDeletions } from "../../src/accounts/deletion.ts"
import { connect } from "../../src/database/connect.ts"
import { deleteTodosOf } from "../../src/todos/erase.ts"
import { createTurns } from "../../src/todos/revisions.ts"
import { setClock } from "../support/clock.ts"
import { insertMany } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql, account } = await shareApp()
const database = connect(app.databaseUrl, 2)
afterAll(() => database.end())
const deleteOwned = deleteTodosOf({ sql: database, turns: createTurns() })

/** More than one statement deletes. */
const MANY = 12_000

test("a token sees all todos or is refused, while the account is deleted", async () => {
  const ada = await account()
  await insertMany(sql, ada.id, MANY)
  const seen = new Set<unknown>()
  const look = async () => {
    const { status, headers } = await ada.get("/todos?limit=1&count=true")
    seen.add(status === 200 ? headers.get("x-total-count") : status)
  }
  await look()
  let answer: number | undefined
  const deleting = ada.delete("/users/me").then(({ status }) => {
    answer = status
  })
  do await look()
  while (answer === undefined)
  await deleting
  // Until now each may have been answered before the deletion.
  await look()
  expect(answer).toBe(204)
  expect([...seen]).toEqual([String(MANY), 401])
  expect((await sql`select from todos where owner_id = ${ada.id}`).count).toBe(0)
})

for (const path of ["/todos?count=true", "/todos/deleted", "/todos/changes"])
  test(`what is read of ${path} while the account is refused is refused, too`, async () => {
    // What waits for the lock is not cancelled, however busy the machine is.
    using _ = setClock()
    const ada = await account()
    await insertMany(sql, ada.id, 1)
    const { listed, deleted } = await sql.begin(async (transaction) => {
      await transaction`lock table todos, deleted_todos in access exclusive mode`
      const waiting = () => transaction`
        select
        from pg_locks
        where relation in ('todos'::regclass, 'deleted_todos'::regclass)
          and not granted`
      const listed = ada.get(path)
      while ((await waiting()).count === 0) await Bun.sleep(5)
      const deleted = ada.delete("/users/me")
      while ((await ada.get("/users/me")).status !== 401) await Bun.sleep(5)
      return { listed, deleted }
    })
    expect((await listed).status).toBe(401)
    expect((await deleted).status).toBe(204)
  })

test("no statement of a deletion takes more rows than its time limit allows", async () => {
  const ada = await app.user()
  await sql.unsafe(`
    create function refuse_many() returns trigger language plpgsql as $$
    begin
      if (select count(*) from gone) > 5000 then
        raise exception 'too many rows of % at once', tg_table_name;
      end if;
      return null;
    end
    $$`)
  for (const table of ["todos", "deleted_todos", "idempotency_keys"])
    await sql.unsafe(`
      create trigger refuse_many after delete on ${table} referencing old table as gone
      for each statement execute function refuse_many()`)
  await insertMany(sql, ada.id, MANY)
  await sql`
    insert into deleted_todos (owner_id, id, revision)
    select ${ada.id}, n, n
    from generate_series(1, ${MANY}::integer) as n`
  await sql`
    insert into idempotency_keys (owner_id, key, body_hash, todo_id)
    select ${ada.id}, 'key-' || n, sha256('{}'), n
    from generate_series(1, ${MANY}::integer) as n`
  expect((await ada.delete("/users/me")).status).toBe(204)
  for (const table of ["todos", "deleted_todos", "idempotency_keys"])
    expect((await sql`select from ${sql(table)} where owner_id = ${ada.id}`).count).toBe(0)
})

test("a user of many sessions can be deleted, though the statistics know of one a user", async () => {
  const ada = await account()
  const open = (users: number, sessions: number) => sql`
    with added as (
      insert into users (id)
      select ${ada.id}::bigint - 1000000 - n
      from generate_series(1, ${users}::integer) as n
      returning id
    )
    insert into sessions (id, user_id, created_at, expires_at)
    select gen_random_uuid(), owner, now(), now() + interval '1 day'
    from (
      select id from added
      union all
      select ${ada.id}::bigint from generate_series(1, ${sessions}::integer)
    ) as of_user (owner)`
  await open(20_000, 0)
  await sql.unsafe("alter table sessions set (autovacuum_enabled = false); analyze sessions")
  await open(0, 60_000)
  expect((await ada.delete("/users/me")).status).toBe(204)
  expect((await sql`select from sessions where user_id = ${ada.id}`).count).toBe(0)
})

test("a deletion that is interrupted has refused the account, and is ended by whoever finds it", async () => {
  const ada = await account()
  const { body } = await ada.post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
  const { token } = body as { token: string }
  await insertMany(sql, ada.id, 1)
  const dies = () => Promise.reject(new Error("killed"))
  expect(deleteAccount({ sql: database, deleteOwned: dies }, ada.id)).rejects.toThrow("killed")
  while ((await ada.get("/todos")).status === 200) await Bun.sleep(20)
  const { text } = await app.call("POST", "/api/v1/auth/refresh", {
    body: { refresh_token: ada.refreshToken },
  })
  expect(text).toContain("The account was deleted")
  expect((await ada.get("/users/me")).text).toContain("The account was deleted")
  expect((await app.logIn(ada)).status).toBe(401)
  expect((await app.withToken(token).get("/todos")).status).toBe(401)

  const end = () => endDeletions(deleteOwned)(database, 1_000)
  expect(await end()).toBe(0)
  const key = `user:${ada.id}`
  await sql`update revocations set expires_at = now() - interval '1 second' where key = ${key}`
  expect(await end()).toBe(1)
  expect(await end()).toBe(0)
  expect(await sql`select from users where id = ${ada.id}`).toHaveLength(0)
  expect(await sql`select from todos where owner_id = ${ada.id}`).toHaveLength(0)
  expect(await sql`select expires_at::text from revocations where key = ${key}`).toMatchObject([
    { expires_at: "infinity" },
  ])
  expect((await ada.get("/users/me")).text).toContain("The account was deleted")
  expect((await app.account(ada.email)).id).not.toBe(ada.id)
})
