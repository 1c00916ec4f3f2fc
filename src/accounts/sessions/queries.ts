/** SQL over sessions: how long they last, and opening and ending them. */
import type { Sql, Statements } from "../../database/sql.ts"
import type { Client } from "../../http/client-address.ts"
import type { Lifetimes } from "../context.ts"
import { insertRevocations, sessionKey } from "../revocation-keys.ts"
import type { Session } from "../tokens/session-tokens.ts"

/** Sessions that were ended together keep their rows until they expire. */
export const HAS_NOT_ENDED = `sessions.expires_at > now()
  and sessions.created_at >= coalesce(
    (select tokens_valid_from from users where users.id = sessions.user_id),
    '-infinity'
  )`

/** How long a session lasts if it is not refreshed again. */
const unrefreshed = ({ refresh, access }: Lifetimes) => Math.max(refresh, access)

/** When the session ends if it is refreshed now and never again. */
export const extendedEnd = (sql: Statements, lifetimes: Lifetimes) => sql`
  least(
    greatest(sessions.expires_at, now() + make_interval(secs => ${unrefreshed(lifetimes)})),
    sessions.created_at + make_interval(secs => ${lifetimes.session})
  )`

/** Whether a session, joined with its user, is alive and its user enabled. */
export const isAlive = (sql: Statements, lifetimes: Lifetimes) => sql`
  sessions.user_id = users.id
    and users.disabled_at is null
    and ${sql.unsafe(HAS_NOT_ENDED)}
    and sessions.created_at > now() - make_interval(secs => ${lifetimes.session})`

/** What is returned as a `Session`. */
export const columns = (sql: Statements, lifetimes: Lifetimes) => sql`
  sessions.id,
  sessions.user_id,
  generation,
  ceil(${lifetimes.session} + extract(epoch from sessions.created_at - now()))::bigint as seconds_left`

/** Starts at generation 1. */
export const insertSession = async (
  transaction: Statements,
  userId: number,
  { address, userAgent }: Pick<Client, "address" | "userAgent">,
  lifetimes: Lifetimes,
) => {
  const [session] = await transaction<[Session]>`
    insert into sessions (id, user_id, created_at, expires_at, user_agent, address)
    values (
      gen_random_uuid(),
      ${userId},
      statement_timestamp(),
      now() + make_interval(secs => ${Math.min(unrefreshed(lifetimes), lifetimes.session)}),
      ${userAgent},
      ${address}
    )
    returning ${columns(transaction, lifetimes)}`
  return session
}

/** Returns the key to revoke; undefined if the user has no such session. */
export const endSession = async (sql: Sql, userId: number, id: string, lifetimes: Lifetimes) => {
  const key = sessionKey(id)
  const { count } = await sql`
    with ended as (
      delete from sessions
      using users
      where sessions.id = ${id}::uuid
        and sessions.user_id = ${userId}
        and ${isAlive(sql, lifetimes)}
      returning expires_at
    )
    ${insertRevocations(sql, sql`select ${key}, expires_at from ended`)}`
  return count === 1 ? key : undefined
}

/** Revokes a token without a session of ours. `expiresAt` is any number that is in the future. */
export const revokeToken = (sql: Sql, tokenKey: string, expiresAt: number) =>
  insertRevocations(
    sql,
    sql`values (${tokenKey}, to_timestamp(least(${expiresAt}::double precision, 253402300799)))`,
  )

/** Sessions. Deleting so many takes far less than the time limit of a statement. */
const DELETED_AT_ONCE = 5_000

/**
 * Deletes all of a user's sessions, in batches: one statement for all might exceed its time limit. By their places,
 * because a join would compare each with each while the statistics know of few.
 */
export const deleteSessionsOf = async (sql: Sql, userId: number) => {
  for (;;) {
    const { count } = await sql`
      delete from sessions
      where ctid = any (array(
        select ctid
        from sessions
        where user_id = ${userId}
        limit ${DELETED_AT_ONCE}
        for update
      ))`
    if (count === 0) return
  }
}
