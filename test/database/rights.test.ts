/** Who may do what with our tables: the owner everything, a role with the grants of db/README serves, nobody else. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { connect } from "../../src/database/connect.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { lackingRights } from "../../src/database/migrations/rights.ts"
import { createReadiness } from "../../src/database/schema.ts"
import { createLog } from "../../src/log.ts"
import { startApp } from "../support/app.ts"
import { backup, restore } from "../support/backups.ts"
import { runCommand } from "../support/command.ts"
import { query } from "../support/embedded.ts"
import { createEmptyDatabase, type TestDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const suffix = crypto.randomUUID().slice(0, 8)
/** Quoted, because the names of some hosted services' roles are addresses. */
const owner = `"Owner@${suffix}.iam"`
const [serving, anon] = [`serving_${suffix}`, `anon_${suffix}`]

let database: TestDatabase
let admin: (text: string) => Promise<unknown[]>

/** Sessions that begin from now on are this role's. */
const become = (role: string) =>
  admin(`alter database "${new URL(database.url).pathname.slice(1)}" set role = ${role}`)

beforeEach(async () => {
  database = await createEmptyDatabase()
  admin = (text) => query(database.url, `set role none; ${text}`)
  await admin(`create role ${owner}; create role ${serving}; create role ${anon};
    grant create on schema public to ${owner}`)
})

afterEach(async () => {
  const other = await createEmptyDatabase()
  await database.drop()
  await query(other.url, `drop role ${owner}, ${serving}, ${anon}`)
  await other.drop()
})

/** Rights of anybody but the owner. A function without a list is everybody's. */
const rightsOfOthers = `
  select relname || ' ' || grantee::regrole
  from pg_class, aclexplode(relacl)
  where relnamespace = 'public'::regnamespace and grantee <> relowner
  union all
  select proname || ' ' || grantee::regrole
  from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
  where pronamespace = 'public'::regnamespace and grantee <> proowner
  union all
  select relname || ' without row level security'
  from pg_class
  where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity`

const old = join(import.meta.dir, "..", "fixtures", "20260101000019.sql")

test.each(["new", "of 168fbfb"])(
  "in a database that is %s nobody but the owner has a right, whatever the defaults are",
  async (kind) => {
    await admin(`
    alter default privileges for role ${owner} grant all on tables to ${anon}, public;
    alter default privileges for role ${owner} in schema public grant all on sequences to ${anon};
    alter default privileges for role ${owner} in schema public grant all on functions to ${anon}`)
    await become(owner)
    if (kind !== "new") {
      await query(database.url, readFileSync(old, "utf8"))
      expect(await query(database.url, rightsOfOthers)).toContain(`users ${anon}`)
    }
    await migrate(database.url, "up")
    expect(await query(database.url, rightsOfOthers)).toEqual([])
  },
)

const grants = () => {
  const readme = readFileSync(join(import.meta.dir, "..", "..", "db", "README.md"), "utf8")
  const [, block = ""] = /## Rights.*?```sql\n(.*?)```/s.exec(readme) ?? []
  return block.replaceAll("serving", serving)
}

test("one role migrates, another with the grants of db/README serves and backs up, a third restores", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await become(owner)
  await migrate(database.url, "up")
  await query(database.url, grants())
  await become(serving)
  {
    await using app = await startApp({ DATABASE_URL: database.url, MAX_TODOS_PER_USER: "10" })
    expect((await app.call("GET", "/health/ready")).status).toBe(200)
    const ada = await app.account("ada@example.org")
    const { body } = await ada.post("/todos", { title: "one" }, { "idempotency-key": "k" })
    const { id } = body as { id: number }
    expect((await ada.put(`/todos/${id}`, { title: "two" })).status).toBe(200)
    const operations = [
      { op: "create", todo: { title: "three" } },
      { op: "delete", id },
    ]
    expect((await ada.post("/todos/batch", { operations })).body).toMatchObject({
      results: [{ status: 201 }, { status: 204 }],
    })
    expect((await ada.get("/todos/changes")).status).toBe(200)
    expect((await ada.get("/users/me/export")).status).toBe(200)
    const made = await ada.post("/users/me/tokens", { name: "script", scopes: ["todos:read"] })
    expect(made.status).toBe(201)
    const change = { current_password: ada.password, new_password: "another horse" }
    expect((await ada.put("/users/me/password", change)).status).toBe(200)
    const gone = await app.account("gone@example.org")
    expect((await gone.delete("/users/me")).status).toBe(204)
  }
  const invite = await runCommand(["user", "invite"], { DATABASE_URL: database.url })
  expect(invite).toMatchObject({ code: 0 })
  expect(await backup(database.url, file)).toMatchObject({ code: 0, err: "" })

  const target = await createEmptyDatabase()
  const [role, name] = [`restoring_${suffix}`, new URL(target.url).pathname.slice(1)]
  await query(
    target.url,
    `create role ${role}; grant create on schema public to ${role};
    alter database "${name}" set role = ${role}`,
  )
  expect(await restore(target.url, file)).toMatchObject({ code: 0, err: "" })
  expect(await query(target.url, "select title from todos")).toEqual(["three"])
  await target.drop()
  await admin(`drop role ${role}`)
})

test("a role without rights, or from which rows are hidden, does not serve, and a backup is not silently empty", async () => {
  await become(owner)
  await migrate(database.url, "up")
  await query(database.url, grants())
  await become(serving)
  const started = () => startApp({ DATABASE_URL: database.url })
  {
    await using app = await started()
    await admin(`revoke update on todos from ${serving}`)
    expect((await app.call("GET", "/health/ready")).status).toBe(503)
    await admin(`grant update on todos to ${serving}`)
    expect((await app.call("GET", "/health/ready")).status).toBe(200)
    await admin(`drop policy ${serving} on epochs`)
    expect((await app.call("GET", "/health/ready")).status).toBe(503)
  }
  await expect(started()).rejects.toThrow("row level security hides epochs from the role")
  const reasons: string[] = []
  const log = createLog("error")
  log.error = ({ reason }: { reason: string }) => reasons.push(reason)
  const sql = connect(database.url, 1)
  const isReady = createReadiness(sql, log)
  for (const right of ["select on epochs", "select on epochs", "select on schema_migrations"]) {
    await admin(`revoke ${right} from ${serving}`)
    expect(await isReady()).toBe(false)
  }
  await sql.end()
  expect(reasons).toEqual([
    expect.stringContaining("the role may not use epochs"),
    expect.stringContaining("the role may not use epochs, schema_migrations"),
  ])
  await admin(`grant select on epochs, schema_migrations to ${serving}`)
  await admin(`drop policy ${serving} on todos`)
  const empty = await backup(database.url, "-")
  expect(empty.code).toBe(1)
  expect(empty.err).toContain("Row level security hides rows of epochs, todos from this role")
  await admin(`revoke execute on function is_todo from ${serving}`)
  await admin(`revoke select on schema_migrations from ${serving}`)
  const { code, err } = await runCommand(["serve"], {
    DATABASE_URL: database.url,
    SECRET_KEY: "x".repeat(48),
  })
  expect(code).toBe(78)
  expect(err).toContain(
    "DATABASE_URL: the role may not use is_todo, schema_migrations (see Rights in db/README.md)",
  )
})

test("what a role lacks is found without a look at every function that there is", async () => {
  await migrate(database.url, "up")
  await using sql = openSql(database.url)
  const plans: unknown[] = []
  const explain = async ([first = "", ...others]: string[], ...values: string[]) => {
    const statement = [`explain ${first}`, ...others]
    plans.push(...(await sql(Object.assign(statement, { raw: statement }), ...values)))
    return []
  }
  await lackingRights(explain as never)
  expect(JSON.stringify(plans)).toContain("on pg_proc")
  expect(JSON.stringify(plans)).not.toContain("Seq Scan on pg_proc")
})
