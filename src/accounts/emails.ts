/** How emails are compared: without case, beyond ASCII too, whatever the locale of the database. */
import type postgres from "postgres"
import type { Statements } from "../database/connection.ts"
import { constraintOf } from "../database/errors.ts"
import { emailTaken } from "./problems.ts"

type Fragment = postgres.PendingQuery<postgres.Row[]>

/** Two as long as the first rule has its index. A shard's end in its number. */
const UNIQUE = /^users_email_(folded_)?key/

/** The one rule by which emails are compared: lower and then upper makes one of the sigmas. */
export const folded = (sql: Statements, email: string | Fragment) =>
  sql`upper(lower(${email}::text collate "und-x-icu"))`

/** The users with an email: those who share it have it only as they spelled it, but for case. */
export const ofEmail = (sql: Statements, email: string) => sql`
  (${folded(sql, sql`email`)} = ${folded(sql, email)} and not shares_email)
    or (lower(email collate "und-x-icu") = lower(${email} collate "und-x-icu") and shares_email)`

/** The 409 in place of the database's complaint. */
export const unlessEmailTaken = <Result>(statement: Promise<Result>) =>
  statement.catch((error: unknown) => {
    throw UNIQUE.test(constraintOf(error) ?? "") ? emailTaken() : error
  })
