/** All SQL over sessions but refreshing and ending them: see refresh/ and ending/. */
import type { Sql, Statements } from "../../database/connect.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"
import type { Client } from "../client.ts"
import type { AttemptCounts } from "../rate-limits.ts"
import { countedLogin, forgiven, LOGINS, remembered } from "../throttle/queries.ts"
import { extension, isAlive, type Lifetimes } from "./lifetime.ts"

export type NewSession = {
  id: string
  client: Pick<Client, "address" | "userAgent">
  lifetimes: Lifetimes
}

/** An insert from a relation whose `id` is the user's. The session starts at generation 1. */
export const newSession = (sql: Statements, { id, client, lifetimes }: NewSession) => sql`
  insert into sessions (id, user_id, created_at, expires_at, generation, user_agent, address)
  select
    ${id}::uuid,
    id,
    statement_timestamp(),
    now() + least(${extension(sql, lifetimes)}, make_interval(days => ${lifetimes.maxDays})),
    1,
    ${client.userAgent},
    ${client.address}`

type Login = NewSession & {
  userId: number
  /** The hash that the password matched: if it has been changed since, no session is opened. */
  passwordHash: string
  counts: Pick<AttemptCounts, "pair" | "counted" | "logins" | "addressHash">
}

type Opening = {
  is_open: boolean
  /** If there were too many logins: seconds until the next is allowed. */
  seconds_left: number | null
}

/** Opens no session if the user is gone or disabled, has changed the password, or logged in too often. */
export const openSession = async (
  sql: Sql,
  { userId, passwordHash, counts, ...session }: Login,
) => {
  const [opening] = await sql<[Opening]>`
    with account as (
      select id
      from users
      where id = ${userId}
        and password_hash = ${passwordHash}
        and disabled_at is null
      for share
    ), ${countedLogin(sql, counts.logins, sql`account`)}, opened as (
      ${newSession(sql, session)}
      from account
      join login_count on login_count.attempts <= ${LOGINS.max}
      returning user_id
    ), ${forgiven(sql, counts, sql`exists (select from opened)`)},
    ${remembered(sql, userId, counts.addressHash, sql`opened`)}
    select
      exists (select from opened) as is_open,
      (
        select ceil(extract(epoch from expires_at - now()))::integer
        from login_count
        where attempts > ${LOGINS.max}
      ) as seconds_left`
  return opening
}

type Listed = {
  id: string
  created_at: string
  last_used_at: string
  user_agent: string | null
  address: string | null
}

/** Nobody would read a longer list. */
const LISTED = 1_000

export const listSessions = (sql: Sql, userId: number, lifetimes: Lifetimes) => sql<Listed[]>`
  select
    sessions.id,
    sessions.created_at,
    date_trunc('minute', last_used_at) as last_used_at,
    user_agent,
    address
  from sessions
  join users on ${isAlive(sql, lifetimes)}
  where sessions.user_id = ${userId}
  order by sessions.last_used_at desc, sessions.id
  limit ${LISTED}`

type Used = { id: string; user_id: number }

/** For sessions that were used within the last minute. */
export const touchSessions = (sql: Sql, used: Used[]) => sql`
  update sessions
  set last_used_at = date_trunc('minute', now())
  from jsonb_to_recordset(${sql.json(used)}) as used (id uuid, user_id bigint)
  where sessions.id = used.id
    and sessions.user_id = used.user_id
    and last_used_at < date_trunc('minute', now())`

export const deleteExpiredSessions = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "sessions", limit)
