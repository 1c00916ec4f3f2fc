/** `todo-api user …`, as an operator and as a script use it. */
import { expect, test } from "bun:test"
import { program, runCommand, startCommand } from "../support/command.ts"
import { type OneTimeToken, userCommand } from "../support/commands.ts"
import { within5s } from "../support/sessions.ts"
import { shareApp } from "../support/shared-app.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

const { app, sql, account } = await shareApp({ REGISTRATION: "invite" })

const run = (...args: string[]) =>
  runCommand(["user", ...args], { DATABASE_URL: app.databaseUrl, SECRET_KEY })
const json = <Value>(...args: string[]) => userCommand<Value>(app.databaseUrl, ...args)

type Account = { id: number; email: string | null; disabled_at: string | null }

test("list pages through the users, and finds some by a part of their email", async () => {
  const made: number[] = []
  for (let i = 0; i < 5; i++) made.push((await account()).id)
  await sql`
    update users
    set email = 'Ünal-' || id || '@example.org'
    where id in ${sql(made)}`
  const listed: Account[] = []
  for (let after = 0; ; after = listed.at(-1)?.id ?? 0) {
    const page = await json<Account[]>("list", "--limit", "2", "--after", String(after))
    listed.push(...page)
    if (page.length < 2) break
  }
  const [{ count }] = await sql<[{ count: number }]>`select count(*) from users`
  expect(listed).toHaveLength(count)
  expect(new Set(listed.map(({ id }) => id)).size).toBe(count)

  const found = await json<Account[]>("list", "--search", "üNAL-")
  expect(found.map(({ id }) => id)).toEqual(made)
  expect(found[0]).toEqual({
    id: made[0] ?? 0,
    email: `Ünal-${made[0]}@example.org`,
    created_at: expect.stringMatching(/Z$/),
    disabled_at: null,
  } as never)
  expect(await json<Account[]>("list", "--search", "%")).toEqual([])
})

test("without --json there is a table, and a word of how to go on", async () => {
  await account()
  const ada = await account()
  const { code, out, err } = await run("list", "--limit", "1")
  expect(code).toBe(0)
  expect(out.split("\n")[0]).toMatch(/^id +email +created +disabled$/)
  expect(out.split("\n")).toHaveLength(3)
  expect(err).toContain("--after")
  const shown = await run("show", ada.email.toUpperCase())
  expect(shown.out).toMatch(new RegExp(`^id +${ada.id}\nemail +${ada.email}\n`))
})

test("show tells what there is of a user", async () => {
  const ada = await account()
  await ada.post("/todos", { title: "one" })
  const shown = await json<object>("show", String(ada.id))
  expect(shown).toMatchObject({ id: ada.id, email: ada.email, sessions: 1, todos: 1, issuer: null })
})

test("an email that would move the cursor of a terminal does not", async () => {
  const ada = await account()
  await sql`
    update users
    set email = ${`\u001b[2J-${ada.id}@example.org`}
    where id = ${ada.id}`
  const { out } = await run("show", String(ada.id))
  expect(out).not.toContain("\u001b")
})

test("an invite lets somebody register, and one for an email only them", async () => {
  const register = (email: string, invite: string) =>
    app.call("POST", "/api/v1/auth/register", {
      body: { email, password: "correct horse", invite },
    })
  const invite = await json<OneTimeToken>("invite")
  expect(Object.keys(invite).sort()).toEqual(["expires_at", "token"])
  expect(Date.parse(invite.expires_at) - Date.now()).toBeGreaterThan(6.9 * 86_400_000)
  expect((await register("first@example.org", invite.token)).status).toBe(201)
  const { token } = await json<OneTimeToken>("invite", " second@example.org ")
  expect((await register("third@example.org", token)).status).toBe(403)
  expect((await register("second@example.org", token)).status).toBe(201)
  const taken = await run("invite", "Second@example.org")
  expect(taken).toMatchObject({ code: 1, out: "" })
  expect(taken.err).toContain("is registered already")
})

test("reset, disable and enable answer with JSON, and say why they cannot", async () => {
  const ada = await account()
  const reset = await json<OneTimeToken>("reset", ada.email)
  expect(Object.keys(reset).sort()).toEqual(["expires_at", "token"])
  expect(await json<Account>("disable", ada.email)).toMatchObject({
    id: ada.id,
    disabled_at: expect.any(String),
  })
  expect((await run("reset", ada.email)).err).toContain("is disabled")
  expect(await json<Account>("enable", ada.email)).toMatchObject({ disabled_at: null })
  const outside = await app.user()
  expect(await run("reset", String(outside.id))).toMatchObject({
    code: 1,
    err: expect.stringContaining("came from outside"),
  })
})

test("delete takes a user with all that is theirs, and never without being told to", async () => {
  const ada = await account()
  await ada.post("/todos", { title: "one" })
  const refused = await run("delete", ada.email)
  expect(refused).toMatchObject({ code: 64, out: "" })
  expect(refused.err).toContain("--yes")
  expect((await ada.get("/todos")).status).toBe(200)
  expect(await json<Account>("delete", ada.email, "--yes")).toMatchObject({ id: ada.id })
  expect(await within5s(async () => (await ada.get("/todos")).status === 401)).toBe(true)
  expect((await sql`select from todos where owner_id = ${ada.id}`).count).toBe(0)
  expect((await app.logIn(ada)).status).toBe(401)
  expect((await run("show", String(ada.id))).code).toBe(1)
})

test("an unknown user ends with 1 and a sentence", async () => {
  for (const name of ["show", "reset", "disable", "enable"])
    expect(await run(name, "nobody@example.org")).toMatchObject({
      code: 1,
      out: "",
      err: "todo-api: there is no user nobody@example.org\n",
    })
  const deleted = await run("delete", "99", "--yes")
  expect(deleted).toMatchObject({ code: 1, err: "todo-api: there is no user 99\n" })
})

for (const [args, said] of [
  [[], "user takes list, show, invite, reset, disable, enable or delete"],
  [["lst"], "user takes list"],
  [["show"], "user show takes USER"],
  [["show", "a@b.c", "d@e.f"], "unexpected argument: d@e.f"],
  [["list", "all"], "unexpected argument: all"],
  [["list", "--limit", "1001"], "--limit takes a whole number from 1 to 1000"],
  [["list", "--after", "x"], "--after takes"],
  [["list", "--yes"], "Unknown option '--yes'"],
  [["invite", "nobody"], "EMAIL must be an email address"],
] as const)
  test(`the wrong use "user ${args.join(" ")}" ends with 64 and a sentence that helps`, async () => {
    const { code, out, err } = await run(...args)
    expect({ code, out }).toEqual({ code: 64, out: "" })
    expect(err).toContain(said)
    expect(err).toMatch(/\nTry todo-api user( \w+)? --help\n$/)
  })

test("each has its own --help, and user --help names them all", async () => {
  const [all, one] = await Promise.all([run("--help"), run("list", "--help")])
  for (const name of ["list", "show", "invite", "reset", "disable", "enable", "delete"])
    expect(all.out).toContain(`todo-api user ${name} `)
  for (const option of ["--search TEXT", "--limit N", "--after ID", "--json"])
    expect(one.out).toContain(option)
})

test("each is a security event in the log, which has no email and no token", async () => {
  const ada = await account()
  const calls: [event: string, ...args: string[]][] = [
    ["accounts_listed", "list"],
    ["account_shown", "show", ada.email],
    ["invite_made", "invite", "logged@example.org"],
    ["password_reset_made", "reset", ada.email],
    ["account_disabled", "disable", ada.email],
    ["account_enabled", "enable", ada.email],
    ["account_deleted", "delete", ada.email, "--yes"],
  ]
  for (const [event, ...args] of calls) {
    const { out, err } = await run(...args, "--json")
    const logged = JSON.parse(err)
    expect(logged).toMatchObject({ event, msg: "security event" })
    if (args[1] === ada.email) expect(logged.user_id).toBe(ada.id)
    expect(err).not.toContain("@")
    const { token } = JSON.parse(out)
    if (token) expect(err).not.toContain(token)
  }
})

test("they wait until the host that target_session_attrs asks for is found", async () => {
  const url = new URL(app.databaseUrl)
  url.searchParams.set("target_session_attrs", "read-write")
  const found = await runCommand(["user", "list", "--json"], { DATABASE_URL: url.href, SECRET_KEY })
  expect(found).toMatchObject({ code: 0, out: expect.stringMatching(/^\[/) })
})

test("a database that is away ends with 69, one that is not migrated and none at all with 1", async () => {
  const away = await runCommand(["user", "list"], {
    DATABASE_URL: "postgres://todo:s3cret@127.0.0.1:1/todo",
  })
  expect(away.code).toBe(69)
  expect(away.err).not.toContain("s3cret")
  using directory = temporaryDirectory()
  const none = { code: 1, err: expect.stringContaining("there is no database in") }
  for (const command of ["user list", "migrate status", "migrate down"]) {
    const env = { DATA_DIR: `${directory.path}/none` }
    expect(await runCommand(command.split(" "), env)).toMatchObject(none)
  }
})

test("against the embedded database they work while the service runs, and when it does not", async () => {
  using directory = temporaryDirectory()
  const env = { DATA_DIR: `${directory.path}/${"long".repeat(30)}` }
  const listed = async (): Promise<Account[]> =>
    JSON.parse((await runCommand(["user", "list", "--json"], env)).out)
  const service = await startCommand(env)
  const ada = await service.account("ada@example.org")
  expect(await listed()).toMatchObject([{ id: ada.id, email: "ada@example.org" }])
  expect((await runCommand(["user", "disable", "ada@example.org"], env)).code).toBe(0)
  expect(await within5s(async () => (await ada.get("/users/me")).status === 401)).toBe(true)
  expect(await service.stop()).toBe(0)
  expect(await listed()).toMatchObject([{ disabled_at: expect.any(String) }])
})

test.skipIf(!Bun.which("script"))("on a terminal delete asks first", async () => {
  const ada = await account()
  const answered = async (answer: string) => {
    const command = [...program, "user", "delete", ada.email].join(" ")
    const terminal = Bun.spawn(
      ["script", "--quiet", "--return", "--command", command, "/dev/null"],
      {
        env: { PATH: process.env["PATH"] ?? "", DATABASE_URL: app.databaseUrl, SECRET_KEY },
        stdin: new Blob([`${answer}\n`]),
        stdout: "pipe",
      },
    )
    return { said: await terminal.stdout.text(), code: await terminal.exited }
  }
  const refused = await answered("")
  expect(refused.code).toBe(1)
  expect(refused.said).toContain(`Delete ${ada.email} and 0 todos for good?`)
  expect(refused.said).toContain("nothing was deleted")
  expect((await app.logIn(ada)).status).toBe(200)
  expect((await answered("y")).code).toBe(0)
  expect((await app.logIn(ada)).status).toBe(401)
})
