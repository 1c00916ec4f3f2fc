/** All SQL of ending sessions: one, all of a user's, and those of a user who is deleted. */
import type { Sql, Statements } from "../../../database/connection.ts"
import { changedKey, sessionKeyOf } from "../../revocation-keys.ts"

/** A CTE: a session of a user, ended. Constant time: its rows in refresh_tokens expire by themselves. */
const ended = (sql: Sql, userId: number, id: string | null) => sql`
  ended as (
    delete from sessions
    where id = ${id}::uuid
      and user_id = ${userId}
    returning id, expires_at
  )`

/** `expiresAt` is any number that is in the future. */
type Ending = { userId: number; sessionId: string | undefined; tokenKey: string; expiresAt: number }

/** Ends the session that a token is of; where it is of none, the token itself. */
export const endSession = (sql: Sql, { userId, sessionId, tokenKey, expiresAt }: Ending) => sql<
  { key: string }[]
>`
  with ${ended(sql, userId, sessionId ?? null)}
  insert into revocations (key, expires_at)
  select ${sessionKeyOf(sql, sql`id`)}, expires_at
  from ended
  union all
  select ${tokenKey}, to_timestamp(least(${expiresAt}::double precision, 253402300799))
  where not exists (select from ended)
  on conflict on constraint revocations_pkey do nothing
  returning key`

/** Ends one that its user chose from the list. The key to revoke, or undefined where there is none. */
export const endOwnSession = async (sql: Sql, userId: number, id: string) => {
  const [row] = await sql<{ key: string }[]>`
    with ${ended(sql, userId, id)}
    insert into revocations (key, expires_at)
    select ${sessionKeyOf(sql, sql`id`)}, expires_at
    from ended
    on conflict on constraint revocations_pkey do update
    set expires_at = excluded.expires_at
    returning key`
  return row?.key
}

/** Enough for anybody's devices; what is beyond them ends by the mark all the same. */
const ENDED_BY_NAME = 1_000

/**
 * Ends all sessions of a user and all their tokens, in constant time: what is older than the mark
 * is refused. To be called in a transaction whose earlier statement has locked the user's row, so
 * that every login that was let in before is older. The keys to revoke.
 *
 * The sessions are also ended one by one, the latest first, because the list shows them, and
 * because instances of the previous release do not know the mark.
 */
export const endAllSessions = async (transaction: Statements, userId: number) => {
  await transaction`
    update users
    set tokens_valid_from = statement_timestamp()
    where id = ${userId}`
  await transaction`
    with ended as (
      delete from sessions
      where user_id = ${userId}
        and id in (
          select id
          from sessions
          where user_id = ${userId}
          order by created_at desc
          limit ${ENDED_BY_NAME}
        )
      returning id, expires_at
    )
    insert into revocations (key, expires_at)
    select ${sessionKeyOf(transaction, transaction`id`)}, expires_at
    from ended
    union all
    select ${changedKey(userId)}, now() + interval '1 hour'
    on conflict on constraint revocations_pkey do update
    set expires_at = excluded.expires_at,
      transaction_id = excluded.transaction_id`
  return [changedKey(userId)]
}

/** Sessions: far from the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

const deleteSomeOf = async (sql: Sql, userId: number) =>
  (
    await sql`
      delete from sessions
      where user_id = ${userId}
        and id in (
          select id
          from sessions
          where user_id = ${userId}
          limit ${DELETED_AT_ONCE}
        )`
  ).count

/** All of a user's, in batches: one statement for all of them might run into its limit. */
export const deleteSessionsOf = async (sql: Sql, userId: number) => {
  while ((await deleteSomeOf(sql, userId)) > 0);
}
