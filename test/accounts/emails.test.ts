/** By which rule emails are compared, and what they may hold. */

import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"

const password = "correct horse"

test("emails that differ only in a final sigma, or by case, are one", async () => {
  await using app = await startApp()
  const register = (email: string) =>
    app.call("POST", "/api/v1/auth/register", { body: { email, password } })
  expect((await register("οδος@example.org")).status).toBe(201)
  for (const email of ["οδοσ@example.org", "ΟΔΟΣ@example.org"]) {
    const answer = await register(email)
    expect(answer.status).toBe(409)
    expect(answer.body).toMatchObject({ error_code: "EMAIL_TAKEN" })
    expect((await app.logIn({ email, password })).status).toBe(200)
  }
})

test("an email holds no character that is not seen", async () => {
  await using app = await startApp()
  for (const hidden of [
    "\u0007",
    "\u007f",
    "\u00ad",
    "\u200b",
    "\u200d",
    "\u202e",
    "\u2066",
    "\u2060",
    "\ufe0f",
    "\u{e0041}",
  ])
    for (const email of [`a${hidden}da@example.org`, `ada@exam${hidden}ple.org`]) {
      const answer = await app.call("POST", "/api/v1/auth/register", { body: { email, password } })
      expect(answer.status).toBe(400)
      expect(answer.body).toMatchObject({ errors: [{ pointer: "/email" }] })
    }
})
