/** Databases and backups of commit 168fbfb, which stand at 20260101000019, and those of before. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { startApp } from "../support/app.ts"
import { emptyDatabase, restore, withSql } from "../support/backups.ts"
import { clusterDirectory, createCluster } from "../support/cluster.ts"
import { runCommand } from "../support/command.ts"
import { query } from "../support/embedded.ts"
import { createDatabase } from "../support/postgres.ts"

const fixture = (name: string) => join(import.meta.dir, "..", "fixtures", name)

const load = (url: string) =>
  withSql(url, async (sql) => {
    await sql.unsafe(readFileSync(fixture("20260101000019.sql"), "utf8")).simple()
    await sql`reset all`
  })

const oldDatabase = async () => {
  const database = await emptyDatabase()
  await load(database.url)
  return database
}

/** All that a dump would say of our tables, from catalogs: on every version of Postgres. */
const definitionsIn = (url: string) =>
  query(
    url,
    `select concat_ws(' ', relname, relkind, relrowsecurity, relacl, reloptions, attnum_order, attname,
       format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
     from pg_class
     left join (
       select *, row_number() over (partition by attrelid order by attnum) as attnum_order
       from pg_attribute
       where attnum > 0 and not attisdropped
     ) as columns on attrelid = pg_class.oid
     left join pg_attrdef on adrelid = pg_class.oid and adnum = attnum
     where relnamespace = 'public'::regnamespace
     union all
     select concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid))
     from pg_constraint
     where connamespace = 'public'::regnamespace
     union all
     select indexdef from pg_indexes where schemaname = 'public'
     union all
     select concat_ws(' ', proacl, pg_get_functiondef(oid))
     from pg_proc
     where pronamespace = 'public'::regnamespace
     union all
     select tgname from pg_trigger where not tgisinternal
     order by 1`,
  )

const rowsIn = (url: string) =>
  withSql(url, async (sql) => ({
    todos: [...(await sql`select owner_id, id, title, revision from todos order by id`)],
    revisions: [...(await sql`select * from revisions order by owner_id`)],
    counts: [
      ...(await sql`
        select
          (select count(*)::int from users) as users,
          (select count(*)::int from sessions) as sessions,
          (select count(*)::int from personal_tokens) as tokens,
          (select count(*)::int from idempotency_keys) as keys,
          (select count(*)::int from deleted_todos) as deleted,
          (select count(*)::int from revocations) as revocations`),
    ],
  }))

const [ada, bob] = [4503599627370496, 4503599627370497]
const DATA = {
  todos: [
    { owner_id: 7, id: 1, title: "from before there were revisions", revision: 0 },
    { owner_id: 7, id: 2, title: "another", revision: 0 },
    { owner_id: ada, id: 3, title: "one, changed", revision: 4 },
    { owner_id: ada, id: 4, title: "two", revision: 2 },
    { owner_id: ada, id: 6, title: "once", revision: 6 },
    { owner_id: bob, id: 7, title: "bob's", revision: 1 },
  ],
  revisions: [
    { owner_id: 7, revision: 0, tombstones_forgotten_up_to: 0, todos: 2 },
    { owner_id: ada, revision: 6, tombstones_forgotten_up_to: 0, todos: 3 },
    { owner_id: bob, revision: 1, tombstones_forgotten_up_to: 0, todos: 1 },
  ],
  counts: [{ users: 3, sessions: 4, tokens: 1, keys: 1, deleted: 1, revocations: 1 }],
}

test("a database of 168fbfb gets the schema of a new one, and keeps its data", async () => {
  await using old = await oldDatabase()
  await using fresh = await emptyDatabase()
  expect((await migrate(old.url, "up")).changed).toEqual(["20260101000020"])
  await migrate(fresh.url, "up")
  expect(await definitionsIn(old.url)).toEqual(await definitionsIn(fresh.url))
  expect(await rowsIn(old.url)).toEqual(DATA)
  expect(await query(old.url, "select sum(attempts) from rate_limits")).toEqual(["10"])

  await using app = await startApp({ DATABASE_URL: old.url })
  expect((await app.call("GET", "/health/ready")).status).toBe(200)
  const user = await app.session({ email: "bob@example.org", password: "correct horse" })
  const { body } = await user.get("/todos")
  expect(body).toMatchObject([{ title: "bob's" }])
})

test("pg_dump finds no difference either", async () => {
  using directory = clusterDirectory()
  const cluster = createCluster(directory, "cluster")
  cluster.initialize()
  await cluster.start()
  try {
    const dumps: string[] = []
    for (const name of ["old", "fresh"]) {
      await cluster.query(`create database ${name}`)
      const url = cluster.url.replace(/postgres$/, name)
      if (name === "old") await load(url)
      await migrate(url, "up")
      const { stdout } = Bun.spawnSync(["pg_dump", "--schema-only", "--dbname", url])
      dumps.push(stdout.toString().replace(/^\\(un)?restrict .*$/gm, ""))
    }
    expect(dumps[0]).toContain("create table".toUpperCase())
    expect(dumps[0]).toBe(dumps[1])
  } finally {
    await cluster.stop()
  }
})

test("a new database is rolled back to an empty one, step by step, and one of 168fbfb is not", async () => {
  await using fresh = await emptyDatabase()
  const versions = (await migrate(fresh.url, "up")).changed
  const before = await definitionsIn(fresh.url)
  for (const version of versions.toReversed())
    expect((await migrate(fresh.url, "down")).changed).toEqual([version])
  expect(
    await query(fresh.url, "select tablename from pg_tables where schemaname = 'public'"),
  ).toEqual(["schema_migrations"])
  expect((await migrate(fresh.url, "up")).changed).toEqual(versions)
  expect(await definitionsIn(fresh.url)).toEqual(before)

  await using old = await oldDatabase()
  const refuseDown = async () => {
    const definitions = await definitionsIn(old.url)
    const applied = await query(old.url, "select version from schema_migrations order by 1")
    const down = await runCommand(["migrate", "down"], { DATABASE_URL: old.url })
    expect(down.code).toBe(1)
    expect(down.err).toContain("20260101000019 is not undone: restore a backup from before it")
    expect(await query(old.url, "select version from schema_migrations order by 1")).toEqual(
      applied,
    )
    expect(await definitionsIn(old.url)).toEqual(definitions)
  }
  await refuseDown()
  await migrate(old.url, "up")
  await refuseDown()
  expect(await rowsIn(old.url)).toEqual(DATA)
})

test("a database of before is refused with the way to go, and nothing is done to it", async () => {
  await using old = await oldDatabase()
  await query(old.url, "delete from schema_migrations where version = '20260101000019'")
  const before = await definitionsIn(old.url)
  const commands = [["migrate"], ["migrate", "status"], ["serve"], ["backup", "-"]]
  for (const command of commands) {
    const { code, err } = await runCommand(command, {
      DATABASE_URL: old.url,
      SECRET_KEY: "x".repeat(48),
    })
    expect(code).toBe(1)
    expect(err).toContain("migrate it with todo-api of commit 168fbfb first")
  }
  expect(await definitionsIn(old.url)).toEqual(before)
})

test("accounts whose emails would become one are named, and nothing is changed", async () => {
  await using old = await oldDatabase()
  const before = await definitionsIn(old.url)
  await query(
    old.url,
    `insert into users (id, email, password_hash, shares_email)
     values (8, 'οδος@example.org', '$argon2id$', false), (9, 'οδοσ@example.org', '$argon2id$', true)`,
  )
  await expect(migrate(old.url, "up")).rejects.toThrow("differ by the form of a letter alone: 8, 9")
  expect(await definitionsIn(old.url)).toEqual(before)
})

test("a backup of 168fbfb is restored into an empty database, of this schema or of that one", async () => {
  const file = fixture("20260101000019.backup")
  await using fresh = await emptyDatabase()
  const migrated = await createDatabase()
  await using old = await oldDatabase()
  await query(old.url, "truncate users, revocations, deleted_todos, refresh_tokens cascade")
  const definitions = await definitionsIn(migrated.url)
  for (const { url } of [fresh, migrated, old]) {
    expect(await restore(url, file)).toMatchObject({ code: 0, err: "" })
    expect(await rowsIn(url)).toEqual(DATA)
    expect(await definitionsIn(url)).toEqual(definitions)
  }
  await migrated.drop()
})
