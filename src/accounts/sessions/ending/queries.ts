/** The SQL that ends sessions: one, all of a user, or those of a deleted user. */
import type { Sql, Statements } from "../../../database/connect.ts"
import { changedKey, sessionKeyOf } from "../../revocation-keys.ts"

/** A CTE that ends a session. */
const ended = (sql: Sql, userId: number, id: string | null) => sql`
  ended as (
    delete from sessions
    where id = ${id}::uuid
      and user_id = ${userId}
    returning id, expires_at
  )`

/** `expiresAt` is any number that is in the future. */
type Ending = { userId: number; sessionId: string | undefined; tokenKey: string; expiresAt: number }

/** Ends the session of a token. Revokes the token itself if it belongs to none. */
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

/** Ends a session that its user chose. Returns the key to revoke; undefined if there is no such session. */
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

/** More than anybody has devices. Sessions beyond it still end, by tokens_valid_from. */
const ENDED_BY_NAME = 1_000

/**
 * Ends all sessions of a user and all their tokens, in constant time: whatever is older than
 * tokens_valid_from is refused. The caller's transaction must have locked the user's row in an earlier
 * statement, so that every login before it is older. Returns the keys to revoke.
 *
 * The latest sessions are also deleted one by one, because the list of sessions shows them, and
 * because instances of the previous release do not know tokens_valid_from.
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

/** Sessions. Deleting so many takes far less than the time limit of a statement. */
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

/** Deletes all of a user's sessions, in batches: one statement for all might exceed its time limit. */
export const deleteSessionsOf = async (sql: Sql, userId: number) => {
  while ((await deleteSomeOf(sql, userId)) > 0);
}
