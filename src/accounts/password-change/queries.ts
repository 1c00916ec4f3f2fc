/** All SQL of a changed password: with it all sessions end, and another begins. */
import type { Sql } from "../../database/connection.ts"
import { deletePasswordReset } from "../password-resets/queries.ts"
import { endAllSessions } from "../sessions/ending/queries.ts"
import { type NewSession, newSession } from "../sessions/queries.ts"
import { forgiven } from "../throttle/queries.ts"
import type { AttemptCounts } from "../throttle/throttle.ts"

type PasswordChange = NewSession & {
  userId: number
  /** The hash that was found right. */
  from: string
  to: string
  counts: AttemptCounts
}

/** The keys to revoke, or undefined where the password is another by now. */
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
