/**
 * Deletes an account. It is
 *   refused   first, for good: its tokens and logins, at once here and within 5 s elsewhere;
 *   emptied   of its sessions and todos, in batches: one statement for all might exceed its time limit;
 *   deleted   together with the last of what it had.
 * Until then its row of revocations expires soon: whoever finds it expired does the rest, because the instance that
 * began has died, or could not go on.
 */
import type { Sql, Statements } from "../database/sql.ts"
import { insertRevocations, userKey } from "./revocation-keys.ts"
import { deleteSessionsOf } from "./sessions/queries.ts"

/** Deletes what the other features store about a user, and in the last transaction the user. */
export type DeleteOwned = (
  userId: number,
  deleteUser: (transaction: Statements) => Promise<unknown>,
) => Promise<void>

type Deps = { sql: Sql; deleteOwned: DeleteOwned }

export const deleteAccount = async (
  { sql, deleteOwned }: Deps,
  userId: number,
  onRefused = () => {},
) => {
  await refuseUser(sql, userId)
  onRefused()
  await deleteSessionsOf(sql, userId)
  await deleteOwned(userId, (transaction) => deleteUser(transaction, userId))
}

/** Long enough for a million todos. */
const MINUTES = 10

/** Disabled, because not all that a user has names a token that could be revoked. */
const refuseUser = (sql: Sql, id: number) => sql`
  with refused as (
    update users
    set disabled_at = now()
    where id = ${id}
  )
  ${insertRevocations(sql, sql`values (${userKey(id)}, now() + make_interval(mins => ${MINUTES}))`)}`

/** The id stays in use; the email becomes free again. */
const deleteUser = (transaction: Statements, id: number) => transaction`
  with deleted as (
    delete from users
    where id = ${id}
  )
  ${insertRevocations(transaction, transaction`values (${userKey(id)}, 'infinity')`)}`

/** Ends deletions that have not ended in time, at most `limit`. Returns how many. */
export const endDeletions = (deleteOwned: DeleteOwned) => async (sql: Sql, limit: number) => {
  const unended = await sql<{ user_id: number }[]>`
    select substr(key, 6)::bigint as user_id
    from revocations
    where expires_at < now()
      and key ~ '^user:[0-9]+$'
    limit ${limit}`
  for (const { user_id } of unended) await deleteAccount({ sql, deleteOwned }, user_id)
  return unended.length
}
