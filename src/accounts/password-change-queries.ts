/** The SQL that changes a password, ends all sessions and opens a new one. */
import type { Sql } from "../database/connect.ts"
import { deletePasswordReset } from "./password-resets/queries.ts"
import type { AttemptCounts } from "./rate-limits.ts"
import { endAllSessions } from "./sessions/ending/queries.ts"
import { type NewSession, newSession } from "./sessions/queries.ts"
import { forgiven } from "./throttle/queries.ts"

type PasswordChange = NewSession & {
  userId: number
  /** The hash that the given password matched. */
  from: string
  to: string
  counts: AttemptCounts
}

/** Returns the keys to revoke; undefined if the password was changed in the meantime. */
export const changePassword = (sql: Sql, change: PasswordChange) =>
  sql.begin(async (transaction) => {
    const { userId, from, to, counts, ...session } = change
    const changed = await transaction`
      update users
      set password_hash = ${to}
      where id = ${userId}
        and password_hash = ${from}`
    if (changed.count === 0) return undefined
    const ended = await endAllSessions(transaction, userId)
    await deletePasswordReset(transaction, userId)
    await transaction`
      with opened as (
        ${newSession(transaction, session)}
        from users
        where id = ${userId}
        returning id
      ), ${forgiven(transaction, counts, transaction`true`)}
      select id
      from opened`
    return ended
  })
