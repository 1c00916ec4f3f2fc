/** Compares emails: ignores case, beyond ASCII too, in a database of any locale. */
import type postgres from "postgres"
import type { Statements } from "../database/connect.ts"
import { constraintOf } from "../database/errors.ts"
import { emailTaken } from "./problems.ts"

type Fragment = postgres.PendingQuery<postgres.Row[]>

/** On a shard the name of the index ends in a number. */
const UNIQUE = /^users_email_folded_key/

/** The only rule by which emails are compared. `lower` before `upper` makes all forms of sigma equal. */
export const folded = (sql: Statements, email: string | Fragment) =>
  sql`upper(lower(${email}::text collate "und-x-icu"))`

/** The user with an email. */
export const ofEmail = (sql: Statements, email: string) => sql`
  ${folded(sql, sql`email`)} = ${folded(sql, email)}`

/** Throws a 409 instead of the violated constraint. */
export const unlessEmailTaken = <Result>(statement: Promise<Result>) =>
  statement.catch((error: unknown) => {
    throw UNIQUE.test(constraintOf(error) ?? "") ? emailTaken() : error
  })
