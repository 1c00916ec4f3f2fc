/** Accounts for tests that are not about hashing. */
import { randomUUID } from "node:crypto"
import type { Statements } from "../../src/database/sql.ts"
import type { App } from "./app.ts"

const password = "correct horse"
/** Verified like any other, but in no time. */
const hash = Bun.password.hash(password, { algorithm: "argon2id", memoryCost: 8, timeCost: 1 })

/** As if registered. */
export const insertRegistered = async (sql: Statements) => {
  const email = `${randomUUID()}@example.org`
  const [row] = await sql<[{ id: number }]>`
    insert into users (email, password_hash)
    values (${email}, ${await hash})
    returning id`
  return { id: row.id, email, password }
}

/** As if registered: what a client logs in with. */
export const insertCredentials = async (sql: Statements) => {
  const { email, password } = await insertRegistered(sql)
  return { email, password }
}

/** As if registered, and logged in. */
export const insertAccount = async (app: App, sql: Statements) => {
  const account = await insertRegistered(sql)
  return { ...(await app.session(account)), ...account }
}
