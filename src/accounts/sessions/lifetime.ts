/** How long sessions and their tokens last, in SQL. */
import type { Statements } from "../../database/connect.ts"

export type Lifetimes = {
  /** Of a refresh token, from when it is issued. */
  refreshDays: number
  /** Of an access token. */
  accessSeconds: number
  /** Of a session, from its login, even if it is refreshed. */
  maxDays: number
}

/** When a session ends at the latest. Computed in UTC, because a distributed Postgres wants it so. */
const lastMoment = (sql: Statements, { maxDays }: Lifetimes) => sql`
  ((sessions.created_at at time zone 'UTC' + make_interval(days => ${maxDays})) at time zone 'UTC')`

/** How long a session lasts if it is not refreshed again. */
export const extension = (sql: Statements, { refreshDays, accessSeconds }: Lifetimes) => sql`
  greatest(make_interval(days => ${refreshDays}), make_interval(secs => ${accessSeconds}))`

/** When the session ends if it is refreshed now and never again. */
export const extendedEnd = (sql: Statements, lifetimes: Lifetimes) => sql`
  least(greatest(expires_at, now() + ${extension(sql, lifetimes)}), ${lastMoment(sql, lifetimes)})`

/** Seconds until the session ends at the latest. */
export const secondsLeft = (sql: Statements, lifetimes: Lifetimes) => sql`
  ceil(extract(epoch from ${lastMoment(sql, lifetimes)} - now()))::bigint`

/** Whether a session, joined with its user, is alive and its user enabled. */
export const isAlive = (sql: Statements, lifetimes: Lifetimes) => sql`
  sessions.user_id = users.id
    and users.disabled_at is null
    and sessions.created_at >= coalesce(users.tokens_valid_from, '-infinity')
    and sessions.expires_at > now()
    and ${lastMoment(sql, lifetimes)} > now()`
