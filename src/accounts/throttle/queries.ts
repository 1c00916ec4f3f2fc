/** All SQL over rate_limits: counts of attempts in windows of time, and the addresses that are exempt. */
import type postgres from "postgres"
import type { Sql, Statements } from "../../database/connect.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"

type Fragment = postgres.PendingQuery<postgres.Row[]>

export type Rule = {
  key: string
  /** Null if attempts are counted without a limit. */
  max: number | null
  seconds: number
  /** False if only something else counts, not the attempt. */
  is_counted: boolean
}

export type Full = { key: string; seconds_left: number }

/** Successful logins of an account. They are counted when they succeed. */
export const LOGINS = { max: 60, seconds: 15 * 60 }

/** The end of an upsert. If the window of the count has ended, a new one begins. */
const countOn = (sql: Statements) => sql`
  on conflict on constraint rate_limits_pkey do update
  set attempts = case when rate_limits.expires_at > now() then rate_limits.attempts + 1 else 1 end,
    expires_at = case when rate_limits.expires_at > now() then rate_limits.expires_at
      else excluded.expires_at end
  returning key, attempts, expires_at`

/**
 * Counts an attempt under each key, unless one of them is full already. Returns the keys that are full.
 * Attempts are counted before they are made, so that a thousand at once do not exceed the limit.
 */
export const countAttempt = (sql: Sql, rules: Rule[]) => sql<Full[]>`
  with rule as (
    select key, max, seconds, is_counted
    from jsonb_to_recordset(${sql.json(rules)})
      as given (key text, max integer, seconds integer, is_counted boolean)
  ), full_before as (
    select key, expires_at
    from rate_limits
    join rule using (key)
    where attempts >= max
      and expires_at > now()
  ), counted as (
    insert into rate_limits (key, attempts, expires_at)
    select key, 1, now() + make_interval(secs => seconds)
    from rule
    where is_counted
      and not exists (select from full_before)
    ${countOn(sql)}
  )
  select key, ceil(extract(epoch from expires_at - now()))::integer as seconds_left
  from full_before
  union all
  select key, ceil(extract(epoch from counted.expires_at - now()))::integer
  from counted
  join rule using (key)
  where attempts > max`

/** A CTE `login_count`, which counts a login of the accounts in a relation. */
export const countedLogin = (sql: Statements, key: string, accounts: Fragment) => sql`
  login_count as (
    insert into rate_limits (key, attempts, expires_at)
    select ${key}, 1, now() + make_interval(secs => ${LOGINS.seconds})
    from ${accounts}
    ${countOn(sql)}
  )`

type Counted = {
  pair: string
  /** All keys that the attempt was counted under, the pair included, in the order of counting. */
  counted: string[]
}

/**
 * CTEs that uncount an attempt that succeeded, and reset its pair to zero. Rows are locked in the order
 * in which attempts are counted, so that there are no deadlocks.
 */
export const forgiven = (sql: Statements, { pair, counted }: Counted, when: Fragment) => sql`
  held as (
    select rate_limits.key
    from rate_limits
    join jsonb_array_elements_text(${sql.json(counted)}) with ordinality as given (key, place)
      on given.key = rate_limits.key
    where ${when}
    order by place
    for update of rate_limits
  ), cleared as (
    delete from rate_limits
    where key = ${pair}
      and key in (select key from held)
  ), uncounted as (
    update rate_limits
    set attempts = attempts - 1
    where key in (select key from held)
      and key <> ${pair}
      and attempts > 0
  )`

export const forgive = (sql: Sql, counts: Counted) => sql`
  with ${forgiven(sql, counts, sql`true`)}
  select 1`

const KNOWN_DAYS = 30
/** The latest of each user. */
const KNOWN_ADDRESSES = 20

/** CTEs that remember the address of a login. `opened` is empty if the login failed. */
export const remembered = (
  sql: Statements,
  userId: number,
  addressHash: Uint8Array,
  opened: Fragment,
) => sql`
  known as (
    insert into known_addresses (user_id, address_hash, expires_at)
    select user_id, ${addressHash}, now() + make_interval(days => ${KNOWN_DAYS})
    from ${opened}
    on conflict on constraint known_addresses_pkey do update
    set expires_at = excluded.expires_at
  ), forgotten as (
    delete from known_addresses
    where user_id = ${userId}
      and address_hash in (
        select address_hash
        from known_addresses
        where user_id = ${userId}
          and address_hash <> ${addressHash}
        order by expires_at desc
        offset ${KNOWN_ADDRESSES - 1}
      )
  )`

/** Whether the user logged in from this address lately. `id` is an expression of the statement. */
export const isKnownAddress = (sql: Statements, addressHash: Uint8Array, id: Fragment) => sql`
  exists (
    select
    from known_addresses
    where user_id = ${id}
      and address_hash = ${addressHash}
      and expires_at > now()
  )`

export const deleteExpiredThrottles = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "rate_limits", limit)

export const deleteExpiredKnownAddresses = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "known_addresses", limit)
