/** Which passwords are refused when they are chosen. */
import { expect, test } from "bun:test"
import { commonPasswords, fingerprintsOf, stored } from "../../.ci/common-passwords.ts"
import { isCommon } from "../../src/accounts/passwords.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, account } = await shareApp()

const COMMON = [
  "password",
  "12345678",
  "87654321",
  "qwertyuiop",
  "PassWord1",
  "trustno1",
  "aaaaaaaa",
  " password ",
  "        ",
  "\u3000".repeat(8),
]

const register = (email: string, password: string) =>
  app.call("POST", "/api/v1/auth/register", { body: { email, password } })

const refusal = (pointer: string, message: string) => ({
  error_code: "BAD_REQUEST",
  errors: [{ pointer, message }],
})
const tooCommon = "is one of the most common passwords"
const isEmail = "must not be the email of the account"

test("a registration with a common password is refused, and says so", async () => {
  for (const password of COMMON) {
    const { status, body } = await register("common@example.org", password)
    expect([password, status]).toEqual([password, 400])
    expect(body).toMatchObject(refusal("/password", tooCommon))
  }
})

test("a registration with the email as its password is refused, and says so", async () => {
  const email = "Ada@Example.org"
  for (const password of [email, email.toLowerCase(), ` ${email.toUpperCase()} `]) {
    const { status, body } = await register(` ${email} `, password)
    expect(status).toBe(400)
    expect(body).toMatchObject(refusal("/password", isEmail))
  }
})

test("a change to a common password or to the email is refused, and nothing changes", async () => {
  const ada = await account()
  const cases: [password: string, message: string][] = [
    ["iloveyou", tooCommon],
    [ada.email.toUpperCase(), isEmail],
  ]
  for (const [new_password, message] of cases) {
    const change = { current_password: ada.password, new_password }
    const { status, body } = await ada.put("/users/me/password", change)
    expect(status).toBe(400)
    expect(body).toMatchObject(refusal("/new_password", message))
  }
  expect((await app.logIn(ada)).status).toBe(200)
})

test("what only contains a common password, or two of the list, is nobody's first guess", async () => {
  for (const password of ["passwords are words", "password\niloveyou", "password\u00e9"]) {
    const { status } = await register(`${crypto.randomUUID()}@example.org`, password)
    expect([password, status]).toEqual([password, 201])
  }
})

test("each of the 20,000 most common ones that are long enough to be chosen is on the list", async () => {
  const passwords = await commonPasswords()
  expect(passwords).toHaveLength(20_000)
  expect(fingerprintsOf(passwords).equals(await Bun.file(stored).bytes())).toBe(true)
  expect(passwords.filter((password) => !isCommon(password))).toEqual([])
  expect(passwords.filter((password) => isCommon(`${password} `))).toEqual([])
})
