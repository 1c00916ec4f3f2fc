/** Migrations: each is applied once, by whoever comes first, or the start fails with the reason. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { connect } from "../../src/database/connect.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { migrationFiles } from "../../src/database/migrations/state.ts"
import { prepareSchema } from "../../src/database/schema.ts"
import { createLog } from "../../src/log.ts"
import { startApp } from "../support/app.ts"
import { query } from "../support/embedded.ts"
import { createEmptyDatabase, type TestDatabase } from "../support/postgres.ts"
import { temporaryDirectory } from "../support/temporary.ts"

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

test("DATA_DIR may have a comma in its path", async () => {
  using home = temporaryDirectory()
  const dataDir = join(home.path, "a,b")
  mkdirSync(dataDir, { mode: 0o700 })
  const migrated = await migrate(database.url, "up", { files: first, dataDir })
  expect(migrated).toMatchObject({ changed: [FIRST] })
})

test("down rolls the last migration back", async () => {
  await migrate(database.url, "up", { files: second })
  expect(await migrate(database.url, "down", { files: second })).toEqual({
    schema: "public",
    changed: [SECOND],
    applied: [FIRST],
    pending: [SECOND],
    unknown: [],
    invalid: [],
  })
  expect(await tables()).toEqual(["a"])
})

test("a migration that takes longer than a session may be idle is no failure", async () => {
  const name = new URL(database.url).pathname.slice(1)
  await query(database.url, `alter database "${name}" set idle_session_timeout = '1s'`)
  const files = {
    "30000101000001_slow.sql": "-- migrate:up\nselect pg_sleep(1.2);\n-- migrate:down",
  }
  expect(await migrate(database.url, "up", { files })).toMatchObject({ changed: [FIRST] })
})

test("status tells applied, pending and unknown migrations, and changes nothing", async () => {
  expect(await migrate(database.url, "status", { files: second })).toMatchObject({
    pending: [FIRST, SECOND],
  })
  await migrate(database.url, "up", { files: first })
  const status = await migrate(database.url, "status", { files: second })
  expect(status).toMatchObject({ applied: [FIRST], pending: [SECOND], unknown: [], changed: [] })
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

const everything = `
  select nspname || '.' || relname
  from pg_class
  join pg_namespace on pg_namespace.oid = relnamespace
  where nspname !~ '^pg_|information_schema'
  order by 1`

test("another program's schema_migrations is seen first, and nothing is made beside it", async () => {
  const shapes = {
    Rails: "(version varchar primary key)",
    Ecto: "(version bigint primary key, inserted_at timestamp default now())",
    "golang-migrate": "(version bigint primary key, dirty boolean not null default false)",
  }
  for (const shape of Object.values(shapes)) {
    await query(database.url, `create table schema_migrations ${shape}`)
    await query(database.url, "insert into schema_migrations (version) values ('20150101000000')")
    const before = await query(database.url, everything)
    for (const command of ["up", "down"] as const)
      await expect(migrate(database.url, command)).rejects.toThrow(
        "does not know: 20150101000000. A newer one or another program uses it",
      )
    expect(await query(database.url, everything)).toEqual(before)
    expect((await migrate(database.url, "status")).unknown).toEqual(["20150101000000"])
    await query(database.url, "drop table schema_migrations")
  }
})

/** The URL, with settings that hold for its sessions. */
const withOptions = (options: string) => {
  const url = new URL(database.url)
  url.searchParams.set("options", options)
  return url.toString().replaceAll("+", "%20")
}

// PgBouncer refuses the start-up parameter that names the schema.
test.skipIf(process.env["TEST_POOLER_DIRECTORY"] !== undefined)(
  "a schema of one's own goes beside another program's, and is the one that is served",
  async () => {
    await query(database.url, "create table schema_migrations (version varchar primary key)")
    await query(database.url, "insert into schema_migrations (version) values ('20150101000000')")
    await query(database.url, "create schema app")
    const own = withOptions("-csearch_path=app,public")
    expect(await migrate(own, "up")).toMatchObject({ schema: "app", unknown: [], pending: [] })
    expect(await query(database.url, everything)).not.toContain("public.users")
    await using app = await startApp({ DATABASE_URL: own })
    expect((await app.call("GET", "/health/ready")).status).toBe(200)
  },
)

test("a schema that appears after the migration, and comes first, changes nothing", async () => {
  await migrate(database.url, "up", { files: first })
  await query(database.url, "create schema later")
  const url = withOptions("-csearch_path=later,public")
  expect(await migrate(url, "up", { files: second })).toMatchObject({
    schema: "public",
    applied: [FIRST, SECOND],
  })
  expect(await query(database.url, everything)).toEqual([
    "public.a",
    "public.b",
    "public.schema_migrations",
    "public.schema_migrations_pkey",
  ])
})

test.each(["LATIN1", "SQL_ASCII"])(
  "a database in %s is refused before anything is made",
  async (encoding) => {
    const name = `${new URL(database.url).pathname.slice(1)}_${encoding.toLowerCase()}`
    await query(
      database.url,
      `create database ${name} template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C'
      ${((await query(database.url, "show server_version_num"))[0] as string) > "150000" ? "locale_provider libc" : ""}`,
    )
    const url = new URL(database.url)
    url.pathname = `/${name}`
    await expect(migrate(url.toString(), "up")).rejects.toThrow(
      `the encoding ${encoding}: it must be UTF8`,
    )
    expect(await query(url.toString(), everything)).toEqual([])
    await query(database.url, `drop database ${name} with (force)`)
  },
)

test("no schema in the search_path, or one that dbmate cannot name, is said, and what it is about", async () => {
  await expect(migrate(withOptions("-csearch_path="), "up")).rejects.toThrow(
    "DATABASE_URL: no schema is in the search_path of the role",
  )
  await query(database.url, 'create schema "my.app"')
  await expect(migrate(withOptions('-csearch_path="my.app"'), "up")).rejects.toThrow(
    "DATABASE_URL: the schema my.app has a dot in its name",
  )
})

test("limits of the role's own do not cut migrations off", async () => {
  const slow = {
    ...first,
    "30000101000002_slow.sql": "-- migrate:up\nselect pg_sleep(1.2);\n-- migrate:down",
  }
  const url = withOptions("-cstatement_timeout=1000 -clock_timeout=1")
  expect(await migrate(url, "up", { files: slow })).toMatchObject({ pending: [] })
})

test("an index whose building was cut off is named, and built by the next migration", async () => {
  await migrate(database.url, "up")
  const invalidate = `update pg_index set indisvalid = false
    where indexrelid in ('todos_by_title'::regclass, 'left_ccnew'::regclass)`
  await query(database.url, "create index left_ccnew on todos (title)")
  await query(database.url, invalidate)
  const indexes = ["left_ccnew", "todos_by_title"]
  expect((await migrate(database.url, "status")).invalid).toEqual(indexes)
  const lines: string[] = []
  const log = createLog("warn")
  log.warn = (fields: { index?: string }) => lines.push(fields.index ?? "")
  const sql = connect(database.url, 1)
  await prepareSchema(sql, database.url, {
    log,
    dataDir: "",
    waitSeconds: 1,
    migrate: true,
    allowNewerSchema: false,
  })
  await sql.end()
  expect(lines).toEqual(indexes)
  // Rebuilding waits for those who have begun to read.
  const reading = query(database.url, "select count(*), pg_sleep(1.2) from todos")
  const migrated = await migrate(withOptions("-cstatement_timeout=1000"), "up")
  await reading
  expect(migrated).toMatchObject({ invalid: [], changed: [] })
  const valid = await query(
    database.url,
    "select indexrelid::regclass::text from pg_index where indrelid = 'todos'::regclass and indisvalid order by 1",
  )
  expect(valid).toContain("todos_by_title")
  expect(valid).not.toContain("left_ccnew")
})
