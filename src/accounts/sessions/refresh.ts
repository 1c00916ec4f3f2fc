/** The SQL that refreshes a session, repeats a refresh, or ends the session when a token is reused. */
import type { Sql } from "../../database/connect.ts"
import type { Client } from "../client.ts"
import { sessionKeyOf } from "../revocation-keys.ts"
import type { Link } from "./issue.ts"
import { extendedEnd, isAlive, type Lifetimes, secondsLeft } from "./lifetime.ts"

/**
 * Moves a session on to the next generation. Undefined if it was moved on before, or has ended. A
 * generation above the row's is of a time after the backup that was restored.
 */
export const moveOn = async (
  sql: Sql,
  sessionId: string,
  generation: number,
  { userAgent, address }: Client,
  lifetimes: Lifetimes,
) => {
  const [link] = await sql<Link[]>`
    update sessions
    set generation = ${generation}::bigint + 1,
      rotated_at = now(),
      last_used_at = now(),
      expires_at = ${extendedEnd(sql, lifetimes)},
      user_agent = ${userAgent},
      address = ${address}
    from users
    where sessions.id = ${sessionId}::uuid
      and generation <= ${generation}::bigint
      and rotated_at > now() - make_interval(days => ${lifetimes.refreshDays})
      and ${isAlive(sql, lifetimes)}
    returning sessions.user_id, generation, ${secondsLeft(sql, lifetimes)} as seconds_left`
  return link
}

type Repeated = Link & { is_reuse: boolean }

/**
 * For a token of an earlier generation. If the answer to it may have been lost, and nobody has used
 * that answer's token, the refresh is repeated. Otherwise two parties have the token, and the session
 * ends. Undefined if it has ended already.
 */
export const repeatOrEnd = async (
  sql: Sql,
  sessionId: string,
  generation: number,
  lifetimes: Lifetimes,
) => {
  const [link] = await sql<Repeated[]>`
    with presented as (
      select
        sessions.id,
        sessions.user_id,
        generation,
        ${secondsLeft(sql, lifetimes)} as seconds_left,
        generation <> ${generation}::bigint + 1
          or rotated_at < now() - interval '10 seconds' as is_reuse
      from sessions
      join users on ${isAlive(sql, lifetimes)}
      where sessions.id = ${sessionId}::uuid
        and generation > ${generation}::bigint
    ), ended as (
      delete from sessions
      using presented
      where sessions.id = presented.id
        and is_reuse
      returning sessions.id, expires_at
    ), revoked as (
      insert into revocations (key, expires_at)
      select ${sessionKeyOf(sql, sql`id`)}, expires_at
      from ended
      on conflict on constraint revocations_pkey do nothing
    )
    select user_id, generation, seconds_left, is_reuse
    from presented`
  return link
}
