/** All SQL over sessions and their refresh tokens: opening, refreshing and ending them. */
import type { Sql } from "../../database/connection.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"
import { forgiven, type Guess } from "../throttle/queries.ts"
import { sessionKeyOf } from "../tokens/revocation-keys.ts"

/** For how long a refresh token is good, and the session with the access tokens that go with it. */
export type Lifetimes = { refreshDays: number; accessSeconds: number }

const sessionEnd = (sql: Sql, { refreshDays, accessSeconds }: Lifetimes) => sql`
  now() + greatest(make_interval(days => ${refreshDays}), make_interval(secs => ${accessSeconds}))`

type NewSession = {
  id: string
  userId: number
  /** The one that was found right: a login that a password change overtook opens nothing. */
  passwordHash: string
  refreshTokenHash: Uint8Array
  guess: Guess
}

/** False where the user is gone or has another password by now. */
export const insertSession = async (sql: Sql, session: NewSession, lifetimes: Lifetimes) => {
  const { count } = await sql`
    with account as (
      select id
      from users
      where id = ${session.userId}
        and password_hash = ${session.passwordHash}
      for share
    ), opened as (
      insert into sessions (id, user_id, expires_at)
      select ${session.id}, account.id, ${sessionEnd(sql, lifetimes)}
      from account
      returning id
    ), token as (
      insert into refresh_tokens (hash, session_id, expires_at)
      select ${session.refreshTokenHash}, opened.id, now() + make_interval(days => ${lifetimes.refreshDays})
      from opened
    ), ${forgiven(sql, session.guess, sql`exists (select from opened)`)}
    select id
    from opened`
  return count === 1
}

/** `is_late`: it was used before, too long ago for the answer to have been lost on the way. */
type Presented = { id: string; user_id: number; is_late: boolean }

/**
 * Uses a refresh token. The session's row is locked, so that refreshes take turns with each other
 * and with whatever ends the session. Undefined where there is no such token.
 */
export const rotateRefreshToken = async (
  sql: Sql,
  presentedHash: Uint8Array,
  freshHash: Uint8Array,
  lifetimes: Lifetimes,
) => {
  const [row] = await sql<Presented[]>`
    with presented as (
      select
        sessions.id,
        sessions.user_id,
        coalesce(rotated_at < now() - interval '10 seconds', false) as is_late
      from refresh_tokens
      join sessions on sessions.id = session_id
      where hash = ${presentedHash}
        and refresh_tokens.expires_at > now()
      for update of sessions
    ), rotated as (
      update refresh_tokens
      set rotated_at = now()
      from presented
      where hash = ${presentedHash}
        and rotated_at is null
    ), fresh as (
      insert into refresh_tokens (hash, session_id, expires_at)
      select ${freshHash}, id, now() + make_interval(days => ${lifetimes.refreshDays})
      from presented
      where not is_late
    ), extended as (
      update sessions
      set expires_at = greatest(expires_at, ${sessionEnd(sql, lifetimes)})
      from presented
      where sessions.id = presented.id
        and not is_late
    ), ended as (
      delete from sessions
      using presented
      where sessions.id = presented.id
        and is_late
      returning sessions.id, expires_at
    ), revoked as (
      insert into revocations (key, expires_at)
      select ${sessionKeyOf(sql, sql`id`)}, expires_at
      from ended
      on conflict on constraint revocations_pkey do nothing
    )
    select id, user_id, is_late
    from presented`
  return row
}

/** `expiresAt` is any number that is in the future. */
type Ending = { userId: number; sessionId: string | undefined; tokenKey: string; expiresAt: number }

/** Ends the session that a token is of; where it is of none, the token itself. */
export const endSession = (sql: Sql, { userId, sessionId, tokenKey, expiresAt }: Ending) => sql<
  { key: string }[]
>`
  with ended as (
    delete from sessions
    where id = ${sessionId ?? null}::uuid
      and user_id = ${userId}
    returning id, expires_at
  )
  insert into revocations (key, expires_at)
  select ${sessionKeyOf(sql, sql`id`)}, expires_at
  from ended
  union all
  select ${tokenKey}, to_timestamp(least(${expiresAt}::double precision, 253402300799))
  where not exists (select from ended)
  on conflict on constraint revocations_pkey do nothing
  returning key`

type PasswordChange = {
  userId: number
  /** The one that stays. */
  sessionId: string | undefined
  /** The hash that was found right. */
  from: string
  to: string
  guess: Guess
}

/**
 * The keys of the sessions that ended, or undefined where the password is another by now. The
 * sessions are deleted by a statement of its own: its snapshot holds every login that was allowed
 * by the password before.
 */
export const changePassword = (sql: Sql, { userId, sessionId, from, to, guess }: PasswordChange) =>
  sql.begin(async (transaction) => {
    const changed = await transaction`
      update users
      set password_hash = ${to}
      where id = ${userId}
        and password_hash = ${from}`
    if (changed.count === 0) return undefined
    const ended = await transaction<{ key: string }[]>`
      with ended as (
        delete from sessions
        where user_id = ${userId}
          and id is distinct from ${sessionId ?? null}::uuid
        returning id, expires_at
      ), ${forgiven(sql, guess, sql`true`)}
      insert into revocations (key, expires_at)
      select ${sessionKeyOf(sql, sql`id`)}, expires_at
      from ended
      on conflict on constraint revocations_pkey do nothing
      returning key`
    return ended.map(({ key }) => key)
  })

export const deleteExpiredSessions = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "sessions", limit)

export const deleteExpiredRefreshTokens = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "refresh_tokens", limit)
