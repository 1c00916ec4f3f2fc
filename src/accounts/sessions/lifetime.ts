/** How long sessions and their tokens are good, in SQL. */
import type { Statements } from "../../database/connection.ts"

export type Lifetimes = {
  /** Of a refresh token, from when it was given. */
  refreshDays: number
  /** Of an access token. */
  accessSeconds: number
  /** Of a session, from its login, however often it is refreshed. */
  maxDays: number
}

/** When a session ends whatever happens. In UTC, as a distributed Postgres wants it in an update. */
const lastMoment = (sql: Statements, { maxDays }: Lifetimes) => sql`
  ((sessions.created_at at time zone 'UTC' + make_interval(days => ${maxDays})) at time zone 'UTC')`

/** How long the tokens that are given now keep a session. */
export const extension = (sql: Statements, { refreshDays, accessSeconds }: Lifetimes) => sql`
  greatest(make_interval(days => ${refreshDays}), make_interval(secs => ${accessSeconds}))`

/** When none of the tokens is good any more, if the session is refreshed now. */
export const extendedEnd = (sql: Statements, lifetimes: Lifetimes) => sql`
  least(greatest(expires_at, now() + ${extension(sql, lifetimes)}), ${lastMoment(sql, lifetimes)})`

/** Seconds until the session ends whatever happens. */
export const secondsLeft = (sql: Statements, lifetimes: Lifetimes) => sql`
  ceil(extract(epoch from ${lastMoment(sql, lifetimes)} - now()))::bigint`

/** Whether a session, beside the row of its user, has not ended, and its user may use it. */
export const isAlive = (sql: Statements, lifetimes: Lifetimes) => sql`
  sessions.user_id = users.id
    and users.disabled_at is null
    and sessions.created_at >= coalesce(users.tokens_valid_from, '-infinity')
    and sessions.expires_at > now()
    and ${lastMoment(sql, lifetimes)} > now()`
