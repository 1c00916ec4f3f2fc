/** All SQL of refreshing: a session's chain goes on, a step is repeated, or a reuse ends it. */
import type { Sql } from "../../../database/connection.ts"
import type { Client } from "../../client.ts"
import { sessionKeyOf } from "../../revocation-keys.ts"
import { extendedEnd, isAlive, type Lifetimes, secondsLeft } from "../lifetime.ts"
import type { Link } from "../sessions.ts"

/**
 * Moves a chain on from this generation; undefined where it was moved before, or has ended. A
 * generation ahead of the row is one that a restored backup does not know.
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
      moved_at = now(),
      last_used_at = now(),
      expires_at = ${extendedEnd(sql, lifetimes)},
      user_agent = ${userAgent},
      address = ${address}
    from users
    where sessions.id = ${sessionId}::uuid
      and generation <= ${generation}::bigint
      and (generation = 0 or moved_at > now() - make_interval(days => ${lifetimes.refreshDays}))
      and ${isAlive(sql, lifetimes)}
    returning sessions.user_id, generation, ${secondsLeft(sql, lifetimes)} as seconds_left`
  return link
}

type Repeated = Link & { is_reuse: boolean }

/**
 * For a generation that the chain has left: the step is repeated where its answer may have got
 * lost, and nobody has gone on from it. Otherwise two parties have the token, and the session
 * ends. Undefined where it has ended already. A null is of no generation that could be repeated.
 */
export const repeatOrEnd = async (
  sql: Sql,
  sessionId: string,
  generation: number | null,
  lifetimes: Lifetimes,
) => {
  const [link] = await sql<Repeated[]>`
    with presented as (
      select
        sessions.id,
        sessions.user_id,
        generation,
        ${secondsLeft(sql, lifetimes)} as seconds_left,
        generation is distinct from ${generation}::bigint + 1
          or moved_at < now() - interval '10 seconds' as is_reuse
      from sessions
      join users on ${isAlive(sql, lifetimes)}
      where sessions.id = ${sessionId}::uuid
        and generation > coalesce(${generation}::bigint, -1)
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

type Stored = {
  session_id: string
  /** It was used too long ago for its answer to have got lost. */
  is_late: boolean
}

/** Uses a token from before sessions were chains. Undefined where there is none. */
export const takeStored = async (sql: Sql, hash: Uint8Array) => {
  const [row] = await sql<Stored[]>`
    update refresh_tokens
    set rotated_at = coalesce(rotated_at, now())
    where hash = ${hash}
      and expires_at > now()
    returning session_id, rotated_at < now() - interval '10 seconds' as is_late`
  return row
}
