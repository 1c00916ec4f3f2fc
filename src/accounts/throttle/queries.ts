/** All SQL over throttles: attempts, counted in windows of time. */
import type postgres from "postgres"
import type { Sql } from "../../database/connection.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"

/** The two counts that an attempt to log in is part of. */
export type Guess = { pair: string; address: string }

export type Rule = { key: string; max: number; seconds: number }

export type Full = { key: string; seconds_left: number }

/**
 * Counts an attempt under each key, unless one of them is full already, and tells what is full
 * with it. Counting comes before the attempt: a thousand at once get no more than the limit.
 */
export const countAttempt = (sql: Sql, rules: Rule[]) => sql<Full[]>`
  with rule as (
    select key, max, seconds
    from jsonb_to_recordset(${sql.json(rules)})
      as given (key text, max integer, seconds integer)
  ), full_before as (
    select key, expires_at
    from throttles
    join rule using (key)
    where attempts >= max
      and expires_at > now()
  ), counted as (
    insert into throttles (key, attempts, expires_at)
    select key, 1, now() + make_interval(secs => seconds)
    from rule
    where not exists (select from full_before)
    on conflict on constraint throttles_pkey do update
    set attempts = case when throttles.expires_at > now() then throttles.attempts + 1 else 1 end,
      expires_at = case when throttles.expires_at > now() then throttles.expires_at
        else excluded.expires_at end
    returning key, attempts, expires_at
  )
  select key, ceil(extract(epoch from expires_at - now()))::integer as seconds_left
  from full_before
  union all
  select key, ceil(extract(epoch from counted.expires_at - now()))::integer
  from counted
  join rule using (key)
  where attempts > max`

/**
 * CTEs that take back what a guess counted once it turned out right: the pair starts anew. In the
 * order in which attempts are counted, so that neither waits for the other for ever.
 */
export const forgiven = (
  sql: Sql,
  { pair, address }: Guess,
  when: postgres.PendingQuery<postgres.Row[]>,
) => sql`
  cleared as (
    delete from throttles
    where key = ${pair}
      and ${when}
    returning key
  ), uncounted as (
    update throttles
    set attempts = attempts - 1
    where key = ${address}
      and attempts > 0
      and (select count(*) from cleared) >= 0
      and ${when}
  )`

export const deleteExpiredThrottles = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "throttles", limit)
