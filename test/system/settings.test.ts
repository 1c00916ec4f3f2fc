/** Settings of a database or a role: none changes what migrations, the service, replays and backups do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { join } from "node:path"
import { startApp } from "../support/app.ts"
import { backup, emptyDatabase, restore } from "../support/backups.ts"
import { clusterDirectory, createCluster } from "../support/cluster.ts"
import { runCommand } from "../support/command.ts"
import { query } from "../support/embedded.ts"
import { startPooler } from "../support/pooler.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const set = (url: string, setting: string) =>
  query(url, `alter database "${new URL(url).pathname.slice(1)}" set ${setting}`)

/** An empty database by the URL that it is used by, and by one that its settings are made by. */
type Empty = { url: string; direct: string; [Symbol.asyncDispose](): Promise<void> }

const direct = async (): Promise<Empty> => {
  const database = await emptyDatabase()
  return { ...database, direct: database.url }
}

/** What changes how values are written, or how long a session may take. */
const ofSessions = [
  "default_transaction_isolation = 'serializable'",
  "default_transaction_isolation = 'repeatable read'",
  "default_transaction_deferrable = on",
  "standard_conforming_strings = off",
  "escape_string_warning = on",
  "backslash_quote = off",
  "quote_all_identifiers = on",
  "bytea_output = 'escape'",
  "DateStyle = 'SQL, DMY'",
  "IntervalStyle = 'iso_8601'",
  "TimeZone = 'Asia/Kolkata'",
  "extra_float_digits = -15",
  "client_encoding = 'LATIN1'",
  "client_min_messages = 'error'",
  "statement_timeout = '2s'",
  "lock_timeout = '500ms'",
  "idle_in_transaction_session_timeout = '500ms'",
]
const RESTING = "idle_session_timeout = '500ms'"
/** A pooler's session outlives a command: longer than until the next one begins, it does not end just then. */
const RESTING_POOLED = "idle_session_timeout = '2s'"

const others = [
  "array_nulls = off",
  "transform_null_equals = on",
  "row_security = off",
  "check_function_bodies = off",
  "plan_cache_mode = 'force_generic_plan'",
  "enable_indexscan = off",
  "synchronous_commit = off",
  "work_mem = '64kB'",
  "jit_above_cost = 0",
]

/** Until what a pooler keeps has rested for longer than it may: a statement that comes as it ends would fail. */
const untilRested = async (url: string) => {
  const busy = `
    select 1
    from pg_stat_activity
    where datname = current_database()
      and backend_type = 'client backend'
      and pid <> pg_backend_pid()
      and state_change > clock_timestamp() - interval '3 seconds'`
  while ((await query(url, busy)).length > 0) await Bun.sleep(50)
}

const expectNoDifference = async (setting: string, create: () => Promise<Empty>, env = {}) => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using database = await create()
  const { url } = database
  await set(database.direct, setting)
  expect(await runCommand(["migrate"], { DATABASE_URL: url })).toMatchObject({ code: 0 })

  let list = ""
  const title = "it's \\ \u{1f95b}"
  {
    await using app = await startApp({ ...env, DATABASE_URL: url })
    expect((await app.call("GET", "/health/ready")).status).toBe(200)
    const ada = await app.account("ada@example.org")
    const key = { "idempotency-key": "k" }
    const first = await ada.post("/todos", { title, is_completed: true }, key)
    expect(first.status).toBe(201)
    const replay = await ada.post("/todos", { title, is_completed: true }, key)
    expect([replay.status, replay.text]).toEqual([201, first.text])
    const { id } = first.body as { id: number }
    const changed = await ada.put(`/todos/${id}`, { description: "\\x" })
    expect(changed.body).toMatchObject({ title, description: "\\x", is_completed: true })
    expect((await ada.post("/auth/refresh", { refresh_token: ada.refreshToken })).status).toBe(200)
    expect((await ada.get("/todos/changes")).body).toMatchObject({ changes: [{ id }] })
    expect((await ada.get("/todos?q=IT'S%20%5C")).body).toMatchObject([{ id }])
    list = (await ada.get("/todos")).text
    expect(JSON.parse(list)).toMatchObject([{ title, description: "\\x" }])
  }
  if (setting === RESTING_POOLED) await untilRested(database.direct)
  expect(await backup(url, file)).toMatchObject({ code: 0, err: "" })

  await using target = await create()
  await set(target.direct, setting)
  expect(await restore(target.url, file)).toMatchObject({ code: 0, err: "" })
  await using restored = await startApp({ ...env, DATABASE_URL: target.url })
  const ada = await restored.session({ email: "ada@example.org", password: "correct horse" })
  expect((await ada.get("/todos")).text).toBe(list)
}

test.each([...ofSessions, RESTING, ...others])("with %s all is as without", (setting) =>
  expectNoDifference(setting, direct),
)

/** Its sessions have the settings of the database, and the service cannot give them others. */
describe("behind a pooler", () => {
  const directory = clusterDirectory()
  const cluster = createCluster(directory, "data")
  let pooler: ReturnType<typeof startPooler> | undefined
  let databases = 0

  beforeAll(async () => {
    cluster.initialize()
    await cluster.start()
    pooler = startPooler(directory, cluster.port)
  })
  afterAll(async () => {
    pooler?.stop()
    await cluster.stop()
    directory[Symbol.dispose]()
  })

  const pooled = async (): Promise<Empty> => {
    const name = `settings_${++databases}`
    await cluster.query(`create database ${name}`)
    const named = (url = "") => url.replace(/postgres$/, name)
    return {
      url: named(pooler?.url),
      direct: named(cluster.url),
      async [Symbol.asyncDispose]() {
        await cluster.query(`drop database ${name} with (force)`)
      },
    }
  }
  test.each([...ofSessions, RESTING_POOLED])("with %s all is as without", (setting) =>
    expectNoDifference(setting, pooled, { DATABASE_PREPARED_STATEMENTS: "false" }),
  )

  test("a parameter of the URL that it refuses is a wrong configuration, at once", async () => {
    const env = { DATABASE_URL: `${pooler?.url}?search_path=public`, SECRET_KEY: "x".repeat(48) }
    for (const command of ["serve", "migrate", "backup"])
      expect(await runCommand([command], env)).toMatchObject({
        code: 78,
        err: expect.stringContaining("unsupported startup parameter: search_path"),
      })
  })
})

test("what no setting of ours can mend is refused with its name, before anything is made", async () => {
  await using database = await emptyDatabase()
  await set(database.url, "search_path = ''")
  for (const command of ["migrate", "serve"]) {
    const env = { DATABASE_URL: database.url, SECRET_KEY: "x".repeat(48) }
    const { code, err } = await runCommand([command], env)
    expect({ code, err }).toEqual({ code: 78, err: expect.stringContaining("search_path") })
  }
  await set(database.url, "search_path = public")
  expect(
    await query(
      database.url,
      "select relname from pg_class where relnamespace = 'public'::regnamespace",
    ),
  ).toEqual([])
})
