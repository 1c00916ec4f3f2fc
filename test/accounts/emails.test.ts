/** By which rule emails are compared, and what they may hold. */

import { expect, test } from "bun:test"
import { migrationFiles } from "../../src/database/migrations/files.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { startApp } from "../support/app.ts"
import { createEmptyDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"

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

test("users who share an email since before it was one go on, each by their own spelling", async () => {
  const database = await createEmptyDatabase()
  try {
    const before = Object.entries(migrationFiles()).filter(([name]) => name < "20260101000008")
    await migrate(database.url, "up", { files: Object.fromEntries(before) })
    const sql = openSql(database.url)
    const hash = await Bun.password.hash(password, {
      algorithm: "argon2id",
      memoryCost: 8,
      timeCost: 1,
    })
    const insert = (email: string) => sql<{ id: number }[]>`
      insert into users (email, password_hash)
      values (${email}, ${hash})
      returning id`
    const [older] = await insert("οδος@example.org")
    const [younger] = await insert("Οδοσ@example.org")
    await sql.end()

    await using app = await startApp({ DATABASE_URL: database.url })
    const idOf = async (email: string) => {
      const user = await app.session({ email, password })
      return (await user.get("/users/me")).body as { id: number }
    }
    expect(await idOf("οδος@example.org")).toMatchObject({ id: older?.id })
    expect(await idOf("ΟΔΟΣ@example.org")).toMatchObject({ id: older?.id })
    expect(await idOf("οδοσ@example.org")).toMatchObject({ id: younger?.id })
    for (const email of ["οδος@example.org", "οδοσ@example.org", "ΟΔΟΣ@EXAMPLE.ORG"]) {
      const { status } = await app.call("POST", "/api/v1/auth/register", {
        body: { email, password },
      })
      expect(status).toBe(409)
    }
  } finally {
    await database.drop()
  }
})
