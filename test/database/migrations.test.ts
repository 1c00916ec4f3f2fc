/** Migrations: each is applied once, by whoever comes first, or the start fails with the reason. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { migrate, migrationFiles } from "../../src/database/migrations/migrate.ts"
import { query } from "../support/embedded.ts"
import { createEmptyDatabase, type TestDatabase } from "../support/postgres.ts"

const directory = join(import.meta.dir, "../..", "db", "migrations")

const [FIRST, SECOND] = ["30000101000001", "30000101000002"]

const first = {
  "30000101000001_first.sql":
    "-- migrate:up\ncreate table a (id integer);\n-- migrate:down\ndrop table a;",
}
const second = {
  ...first,
  "30000101000002_second.sql": "-- migrate:up\ncreate table b ();\n-- migrate:down\ndrop table b;",
}

let database: TestDatabase

beforeEach(async () => {
  database = await createEmptyDatabase()
})

afterEach(() => database.drop())

const tables = () =>
  query(database.url, "select tablename from pg_tables where tablename in ('a', 'b') order by 1")

test("the release contains exactly the files of db/migrations", () => {
  const files = readdirSync(directory).sort()
  expect(Object.keys(migrationFiles())).toEqual(files)
  for (const file of files) {
    expect(migrationFiles()[file]).toBe(readFileSync(join(directory, file), "utf8"))
  }
})

test("up applies what is pending, and then nothing", async () => {
  expect(await migrate(database.url, "up", { files: first })).toMatchObject({
    changed: [FIRST],
    pending: [],
  })
  expect(await migrate(database.url, "up", { files: second })).toMatchObject({
    changed: [SECOND],
    pending: [],
  })
  expect(await migrate(database.url, "up", { files: second })).toMatchObject({
    changed: [],
    pending: [],
  })
  expect(await tables()).toEqual(["a", "b"])
})

test("down rolls the last migration back", async () => {
  await migrate(database.url, "up", { files: second })
  expect(await migrate(database.url, "down", { files: second })).toEqual({
    changed: [SECOND],
    applied: [FIRST],
    pending: [SECOND],
    unknown: [],
  })
  expect(await tables()).toEqual(["a"])
})

test("status tells applied, pending and unknown migrations, and changes nothing", async () => {
  expect(await migrate(database.url, "status", { files: second })).toMatchObject({
    pending: [FIRST, SECOND],
  })
  await migrate(database.url, "up", { files: first })
  const status = await migrate(database.url, "status", { files: second })
  expect(status).toEqual({ applied: [FIRST], pending: [SECOND], unknown: [], changed: [] })
})

test("a schema that is newer than the release is told from a current one", async () => {
  await migrate(database.url, "up", { files: second })
  expect(await migrate(database.url, "up", { files: first })).toMatchObject({
    unknown: [SECOND],
    pending: [],
  })
})

test("instances that start at once apply each migration once", async () => {
  const instances = [1, 2, 3, 4].map(() => migrate(database.url, "up", { files: second }))
  const changed = (await Promise.all(instances)).map((migrated) => migrated.changed)
  expect(changed.toSorted()).toEqual([[], [], [], [FIRST, SECOND]])
})

test("instances that wait do not block an index that is built concurrently", async () => {
  const files = {
    ...first,
    "30000101000002_index.sql":
      "-- migrate:up transaction:false\ncreate index concurrently a_id on a (id);\n-- migrate:down",
  }
  const instances = [1, 2, 3].map(() => migrate(database.url, "up", { files }))
  expect((await Promise.all(instances)).map(({ pending }) => pending)).toEqual([[], [], []])
})

test("a migration that fails is named with Postgres' reason and leaves nothing behind", async () => {
  const files = {
    ...first,
    "30000101000002_broken.sql":
      "-- migrate:up\ncreate table b ();\nselect 1 / 0;\n-- migrate:down",
  }
  const migration = migrate(database.url, "up", { files })
  await expect(migration).rejects.toThrow(/30000101000002_broken\.sql.*division by zero/)
  expect(await tables()).toEqual(["a"])
  expect(await migrate(database.url, "up", { files: second })).toMatchObject({ changed: [SECOND] })
})
