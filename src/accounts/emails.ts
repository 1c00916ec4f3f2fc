/** Compares emails: ignores case, beyond ASCII too, in a database of any locale. */
import type postgres from "postgres"
import type { Statements } from "../database/connect.ts"
import { constraintOf } from "../database/errors.ts"
import { emailTaken } from "./problems.ts"

type Fragment = postgres.PendingQuery<postgres.Row[]>

/** Two indexes: the first rule for emails still has its own. On a shard the name ends in a number. */
const UNIQUE = /^users_email_(folded_)?key/

/** The only rule by which emails are compared. `lower` before `upper` makes all forms of sigma equal. */
export const folded = (sql: Statements, email: string | Fragment) =>
  sql`upper(lower(${email}::text collate "und-x-icu"))`

/** The users with an email. Where the rule made emails equal (shares_email), only case may differ. */
export const ofEmail = (sql: Statements, email: string) => sql`
  (${folded(sql, sql`email`)} = ${folded(sql, email)} and not shares_email)
    or (lower(email collate "und-x-icu") = lower(${email} collate "und-x-icu") and shares_email)`

/** Throws a 409 instead of the violated constraint. */
export const unlessEmailTaken = <Result>(statement: Promise<Result>) =>
  statement.catch((error: unknown) => {
    throw UNIQUE.test(constraintOf(error) ?? "") ? emailTaken() : error
  })
