/** Registration, login, and the account itself. */
import { describe, expect, test } from "bun:test"
import { shareApp } from "../support/shared-app.ts"
import { tokenFor } from "../support/tokens.ts"

const { app, sql } = await shareApp()

const post = (path: string, body: unknown) => app.call("POST", `/api/v1/auth${path}`, { body })
const register = (email: unknown, password: unknown = "correct horse") =>
  post("/register", { email, password })
const logIn = (email: string, password = "correct horse") => post("/login", { email, password })

test("whoever registers gets their account, and no password", async () => {
  const answer = await register("  Ada@Example.org ")
  expect(answer.status).toBe(201)
  expect(answer.body).toEqual({
    id: expect.any(Number),
    email: "Ada@Example.org",
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  })
  expect(answer.headers.get("cache-control")).toBe("no-store")
})

test("an email can be registered once, however it is written", async () => {
  expect((await register("Ünal@example.org")).status).toBe(201)
  for (const email of ["Ünal@example.org", "ünal@EXAMPLE.org", "\tÜNAL@example.org\n"]) {
    const answer = await register(email)
    expect(answer.status).toBe(409)
    expect(answer.body).toMatchObject({ error_code: "EMAIL_TAKEN" })
  }
  expect((await logIn(" üNAL@example.org ")).status).toBe(200)
})

test("of five concurrent registrations of one email one succeeds", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => register("race@example.org")))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(4).fill(409)])
})

test("an email is an address of at most 254 characters", async () => {
  const long = `${"x".repeat(242)}@example.org`
  expect((await register(long)).status).toBe(201)
  expect((await register(`𐐀${long.slice(2)}`)).status).toBe(201)
  const broken = [`x${long}`, "", "a@", "@b", "ab", "a b@c", "a@b@c", "a\0@b.c", "\ud800@b.c"]
  for (const email of [...broken, 1, true, null, [], {}, undefined]) {
    const answer = await register(email)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ errors: [{ pointer: "/email" }] })
  }
})

test("a password is any text of 8 to 256 characters", async () => {
  const passwords = ["x, eight", "🦉".repeat(8), "🦉".repeat(256), "    !   ", "'\"\\\n\t\r\b/"]
  for (const [i, password] of passwords.entries()) {
    expect((await register(`password-${i}@example.org`, password)).status).toBe(201)
    expect((await logIn(`password-${i}@example.org`, password)).status).toBe(200)
  }
  const broken = [
    "x".repeat(7),
    "🦉".repeat(7),
    "x".repeat(257),
    "nul\0nul\0nul",
    "\ud800".repeat(8),
  ]
  for (const password of [...broken, 12345678, true, null, ["correct horse"]]) {
    const answer = await register("password@example.org", password)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ errors: [{ pointer: "/password" }] })
    expect(answer.text).not.toContain("nul")
  }
})

test("passwords differ by case, by white space, and beyond the 72nd byte", async () => {
  const password = `${"x".repeat(100)} Horse`
  await register("exact@example.org", password)
  for (const wrong of [password.toLowerCase(), `${password} `, password.slice(0, 90)])
    expect((await logIn("exact@example.org", wrong)).status).toBe(401)
  expect((await logIn("exact@example.org", password)).status).toBe(200)
})

test("every broken rule of a registration is named", async () => {
  const answer = await post("/register", { email: "", password: "short", role: "admin" })
  expect(answer.status).toBe(400)
  const { errors } = answer.body as { errors: { pointer: string }[] }
  expect(errors.map(({ pointer }) => pointer).sort()).toEqual(["/email", "/password", "/role"])
  expect(answer.text).not.toContain("short")
})

test("a login answers with a bearer token that is good for half an hour", async () => {
  await register("login@example.org")
  const answer = await logIn("login@example.org")
  expect(answer.status).toBe(200)
  expect(answer.body).toEqual({
    access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
    token_type: "bearer",
    expires_in: 1_800,
    refresh_token: expect.any(String),
  })
  expect(answer.headers.get("cache-control")).toBe("no-store")
})

test("a wrong password and an unknown email get the same answer", async () => {
  await register("grace@example.org")
  const answers = [await logIn("grace@example.org", "wrong"), await logIn("nobody@example.org")]
  for (const { status, headers, body } of answers) {
    expect(status).toBe(401)
    expect(headers.get("www-authenticate")).toBe("Bearer")
    expect(body).toMatchObject({ error_code: "INVALID_CREDENTIALS" })
  }
  const [first, second] = answers.map(({ text }) => text.replace(/"timestamp":"[^"]+"/, ""))
  expect(first).toBe(String(second))
})

test("what could never have been registered is a wrong login, and no broken rule", async () => {
  for (const [email, password] of [
    ["", ""],
    ["no address", "x"],
    ["x".repeat(10_000), "x".repeat(10_000)],
  ] as const)
    expect((await logIn(email, password)).status).toBe(401)
})

test("passwords are stored as argon2id, with at least what OWASP asks for", async () => {
  const ada = await app.account()
  const rows = await sql<{ password_hash: string }[]>`
    select password_hash
    from users
    where id = ${ada.id}`
  const [, memory, passes] =
    /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$/.exec(rows[0]?.password_hash ?? "") ?? []
  expect(Number(memory)).toBeGreaterThanOrEqual(19_456)
  expect(Number(passes)).toBeGreaterThanOrEqual(2)
})

test("users/me is the account of the token", async () => {
  const ada = await app.account()
  const answer = await ada.get("/users/me")
  expect(answer.status).toBe(200)
  expect(answer.body).toEqual({
    id: ada.id,
    email: ada.email,
    created_at: expect.any(String),
  })
  expect(answer.headers.get("cache-control")).toBe("no-store")
})

test("a user of another system can be in the range of registered ids, and is nobody's account", async () => {
  const outside = app.withToken(tokenFor(2 ** 52 + 1_000_000))
  expect((await outside.get("/users/me")).body).toMatchObject({ email: null })
})

describe("a stranger gets 401, whatever else is wrong, from", () => {
  const routes = [
    ["GET", "/users/me"],
    ["DELETE", "/users/me"],
    ["PUT", "/users/me/password"],
    ["POST", "/auth/logout"],
  ] as const
  for (const [method, path] of routes)
    test(`${method} ${path}`, async () => {
      const body = method === "GET" ? {} : { body: "{" }
      const answer = await app.call(method, `/api/v1${path}?a=%ff`, body)
      expect(answer.status).toBe(401)
      expect(answer.headers.get("www-authenticate")).toBe("Bearer")
    })
})

test("calls that take no query refuse one", async () => {
  const ada = await app.user()
  const answers = [
    await ada.get("/users/me?a=1"),
    await ada.post("/auth/logout?a=1"),
    await ada.delete("/users/me?a=1"),
    await ada.put("/users/me/password?a=1", { current_password: "x", new_password: "12345678" }),
    await post("/refresh?a=1", { refresh_token: "x" }),
    await post("/login?a=1", { email: "x", password: "x" }),
  ]
  for (const { status, body } of answers) {
    expect(status).toBe(400)
    expect(body).toMatchObject({ errors: [{ parameter: "a" }] })
  }
  expect((await ada.get("/users/me")).status).toBe(200)
})

test("a member of the wrong type is refused by every call that takes a body", async () => {
  const ada = await app.user()
  for (const value of [1, true, null, [], {}]) {
    const answers = [
      await post("/refresh", { refresh_token: value }),
      await post("/login", { email: value, password: value }),
      await ada.put("/users/me/password", { current_password: value, new_password: value }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400])
  }
  for (const body of ["{", "[]", "null", '"x"', ""])
    expect((await post("/refresh", body)).status).toBe(400)
})
