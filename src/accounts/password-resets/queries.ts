/** All SQL over password resets. */
import type { Sql, Statements } from "../../database/connect.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"
import { newToken, type OneTimeToken } from "../random-token.ts"

const MINUTES = 60

/**
 * Replaces an older one. Undefined for a user who is gone, is disabled, or came from outside and so
 * has no password.
 */
export const createPasswordReset = async (
  sql: Statements,
  userId: number,
): Promise<OneTimeToken | undefined> => {
  const { token, hash } = newToken()
  const [row] = await sql<{ expires_at: string }[]>`
    insert into password_resets (user_id, hash, expires_at)
    select id, ${hash}, now() + make_interval(mins => ${MINUTES})
    from users
    where id = ${userId}
      and password_hash is not null
      and disabled_at is null
    on conflict on constraint password_resets_pkey do update
    set hash = excluded.hash,
      expires_at = excluded.expires_at
    returning expires_at`
  return row && { token, expires_at: row.expires_at }
}

/** The email of the user whom the token was made for. Undefined if the token is not good. */
export const findResettable = async (sql: Statements, hash: Uint8Array) => {
  const [row] = await sql<{ email: string }[]>`
    select email
    from password_resets
    join users on users.id = user_id
    where hash = ${hash}
      and expires_at > now()`
  return row?.email
}

/** Returns the user whose password it changed. Undefined if the token is not good, or was used meanwhile. */
export const usePasswordReset = async (sql: Statements, hash: Uint8Array, passwordHash: string) => {
  // Locks the user's row first, as everything does that changes an account: so there are no deadlocks.
  const [row] = await sql<{ user_id: number }[]>`
    with changed as (
      update users
      set password_hash = ${passwordHash}
      where id = (
          select user_id
          from password_resets
          where hash = ${hash}
            and expires_at > now()
        )
        and disabled_at is null
      returning id
    )
    delete from password_resets
    using changed
    where user_id = changed.id
      and hash = ${hash}
    returning user_id`
  return row?.user_id
}

/** For changes of the password or the email by other means. */
export const deletePasswordReset = (sql: Statements, userId: number) => sql`
  delete from password_resets
  where user_id = ${userId}`

export const deleteExpiredPasswordResets = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "password_resets", limit)
