/** Changing the email: by the password, to one that nobody has. */
import { expect, test } from "bun:test"
import { createPasswordReset } from "../../src/accounts/password-reset.ts"
import type { insertAccount } from "../support/accounts.ts"
import { startApp } from "../support/app.ts"
import { startMailServer } from "../support/mail-server.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql, account } = await shareApp()

type Account = Awaited<ReturnType<typeof insertAccount>>

const change = ({ put, password }: Account, email: unknown, given: unknown = password) =>
  put("/users/me/email", { email, password: given })

let emails = 0
const newEmail = () => `new-${++emails}@example.org`

test("whoever knows the password changes the email, and logs in with the new one alone", async () => {
  const ada = await account()
  const email = newEmail()
  const answer = await change(ada, ` ${email} `)
  expect(answer).toMatchObject({ status: 204, text: "" })
  expect((await ada.get("/users/me")).body).toMatchObject({ id: ada.id, email })
  expect((await app.logIn({ ...ada, email })).status).toBe(200)
  expect((await app.logIn(ada)).status).toBe(401)
})

test("an email that somebody has, however it is written, is a 409, and one's own is none", async () => {
  const ada = await account()
  const bob = await account()
  const answer = await change(ada, bob.email.toUpperCase())
  expect(answer).toMatchObject({ status: 409, body: { error_code: "EMAIL_TAKEN" } })
  expect((await ada.get("/users/me")).body).toMatchObject({ email: ada.email })
  expect((await change(ada, ada.email.toUpperCase())).status).toBe(204)
})

test("of five who want the same email at once one gets it", async () => {
  const email = newEmail()
  const accounts: Account[] = []
  for (let i = 0; i < 5; i++) accounts.push(await account())
  const answers = await Promise.all(accounts.map((account) => change(account, email)))
  expect(answers.map(({ status }) => status).sort()).toEqual([204, 409, 409, 409, 409])
})

test("what breaks the rules is a 400, and a federated user has no password to be right", async () => {
  const ada = await account()
  for (const email of ["nobody", "", `${"x".repeat(250)}@example.org`, null, 1])
    expect(await change(ada, email)).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: "/email" }] },
    })
  const outside = await app.user()
  const answer = await outside.put("/users/me/email", { email: newEmail(), password: "" })
  expect(answer).toMatchObject({ status: 403, body: { error_code: "INVALID_CREDENTIALS" } })
})

test("a wrong password is a 403, and counts as a failed login of the account", async () => {
  const ada = await account()
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => change(ada, newEmail(), "wrong")),
  )
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(2)
  const wrong = answers.find(({ status }) => status === 403)
  expect(wrong?.body).toMatchObject({ error_code: "INVALID_CREDENTIALS" })
  expect((await app.logIn(ada)).status).toBe(429)
  await sql`delete from rate_limits`
})

test("an email that is taken is no failed login, but one of the ten tries of an hour", async () => {
  const ada = await account()
  const bob = await account()
  for (let i = 0; i < 10; i++) expect((await change(ada, bob.email)).status).toBe(409)
  expect((await change(ada, bob.email)).status).toBe(429)
  expect((await app.logIn(ada)).status).toBe(200)
})

test("more than ten changes in an hour are too many", async () => {
  const ada = await account()
  for (let i = 0; i < 10; i++) expect((await change(ada, newEmail())).status).toBe(204)
  expect((await change(ada, newEmail())).status).toBe(429)
})

test("a change of the email or of the password ends the token of a reset", async () => {
  const [ada, bob] = [await account(), await account()]
  const resets = [await createPasswordReset(sql, ada.id), await createPasswordReset(sql, bob.id)]
  expect((await change(ada, newEmail())).status).toBe(204)
  const passwords = { current_password: bob.password, new_password: "a new horse" }
  expect((await bob.put("/users/me/password", passwords)).status).toBe(200)
  for (const reset of resets) {
    const body = { token: reset?.token, new_password: "another horse" }
    expect((await app.call("POST", "/api/v1/auth/password-reset", { body })).status).toBe(401)
  }
})

test("the old address is told, where mails are sent", async () => {
  await using server = await startMailServer()
  await using mailing = await startApp({
    SMTP_URL: `smtp://127.0.0.1:${server.port}`,
    SMTP_FROM: "todo@example.org",
    PASSWORD_RESET_URL: "https://app.example/{token}",
  })
  const { email, password, put } = await mailing.account()
  await put("/users/me/email", { email: email.toUpperCase(), password })
  await put("/users/me/email", { email: newEmail(), password })
  const [mail] = await server.until(1)
  expect(mail).toMatchObject({
    to: [expect.stringMatching(new RegExp(`^${email}$`, "i"))],
    subject: "The email of your account was changed",
  })
  expect(mail?.text).not.toContain("new-")
})
