/** All SQL over revocations: what was revoked, and what expired. */
import type { Sql } from "../../database/connection.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"

/** Where the sequence user_ids begins. */
const FIRST_REGISTERED_ID = 2 ** 52

/** Reads only, so that it works where the database may not be written to. */
const lookUp = async (sql: Sql, userId: number, keys: string[]) => {
  const [row] = await sql<[{ is_revoked: boolean; is_reserved: boolean }]>`
    select
      exists (
        select
        from revocations
        where key in ${sql(keys)}
      ) as is_revoked,
      ${userId}::bigint < ${FIRST_REGISTERED_ID} or exists (
        select
        from users
        where id = ${userId}
      ) as is_reserved`
  return row
}

/**
 * False where one of the keys was revoked. Otherwise the user id is reserved, where a token names
 * one of our own sequence before anybody has it: a registration must not draw it later.
 */
export const reserveUnlessRevoked = async (sql: Sql, userId: number, keys: string[]) => {
  const { is_revoked, is_reserved } = await lookUp(sql, userId, keys)
  if (is_revoked || is_reserved) return !is_revoked
  const [row] = await sql<[{ is_revoked: boolean }]>`
    with reserved as (
      insert into users (id)
      select id
      from (select ${userId}::bigint as id) as named
      where not exists (select from revocations where key in ${sql(keys)})
      on conflict on constraint users_pkey do nothing
    )
    select exists (
      select
      from revocations
      where key in ${sql(keys)}
    ) as is_revoked`
  return !row.is_revoked
}

/**
 * The keys that were revoked since the horizon of an earlier call (null: from now on), and the
 * horizon for the next call. What is not visible yet is of a transaction at or after it. A
 * database that was restored into another cluster may count its transactions from below it.
 */
export const revokedSince = async (sql: Sql, horizon: string | null) => {
  const [row] = await sql<[{ horizon: string; keys: string[] }]>`
    select
      pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
      coalesce(json_agg(key), '[]') as keys
    from revocations
    where transaction_id >= least(${horizon}::text::xid8, pg_snapshot_xmin(pg_current_snapshot()))`
  return row
}

export const deleteExpiredRevocations = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "revocations", limit)
