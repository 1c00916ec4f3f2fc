/** SQL over tokens: which are revoked, the personal ones, and when they were used. */
import type { Sql } from "../../database/sql.ts"
import type { Scope } from "../../http/guard.ts"
import { userKey } from "../revocation-keys.ts"

/** Where the sequence user_ids begins. */
const FIRST_REGISTERED_ID = 2 ** 52

type Claims = {
  userId: number
  sessionId: string | undefined
  /** Seconds since the epoch. */
  iat: number
  /** The keys whose revocation revokes the token. */
  keys: string[]
}

type Found = {
  is_deleted: boolean
  is_revoked: boolean
  is_disabled: boolean
  is_reserved: boolean
}

/** Only reads, so that it works while the database is read-only. */
const lookUp = async (sql: Sql, { userId, sessionId, iat, keys }: Claims) => {
  const [row] = await sql.pipelined<[Found]>`
    select
      exists (select from revocations where key = ${userKey(userId)}) as is_deleted,
      exists (select from revocations where key in ${sql(keys)}) or coalesce(
        case
          when sessions.id is null
            then ${iat}::double precision < floor(extract(epoch from tokens_valid_from))
          else sessions.created_at < tokens_valid_from
        end,
        false
      ) as is_revoked,
      disabled_at is not null as is_disabled,
      named.id < ${FIRST_REGISTERED_ID} or users.id is not null as is_reserved
    from (select ${userId}::bigint as id) as named
    left join users on users.id = named.id
    left join sessions on sessions.user_id = users.id
      and sessions.id = ${sessionId ?? null}::uuid`
  return row
}

/**
 * A token is revoked if one of its keys is, or if it is older than the user's tokens_valid_from. Its
 * age is that of its session, or its own `iat` if it has none. A token that is not revoked may name
 * an id of our own sequence that nobody has yet: the id is then reserved, so that no registration
 * draws it later.
 */
export const reserveUnlessRevoked = async (sql: Sql, claims: Claims) => {
  const found = await lookUp(sql, claims)
  if (found.is_revoked || found.is_reserved) return found
  await sql`
    insert into users (id)
    select id
    from (select ${claims.userId}::bigint as id) as named
    where not exists (select from revocations where key in ${sql(claims.keys)})
    on conflict on constraint users_pkey do nothing`
  return lookUp(sql, claims)
}

type Revoked = { key: string; transaction_id: string }

/**
 * The keys that were revoked since the horizon of an earlier call (null: from now on), and the horizon
 * for the next call. Rows that are not visible yet belong to transactions at or after it. `least`
 * helps after a restore into another cluster, which may count its transactions from a lower number.
 */
export const revokedSince = async (sql: Sql, horizon: string | null) => {
  const [row] = await sql<[{ horizon: string; revoked: Revoked[] }]>`
    select
      pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
      coalesce(
        json_agg(json_build_object('key', key, 'transaction_id', transaction_id::text)),
        '[]'
      ) as revoked
    from revocations
    where transaction_id >= least(${horizon}::text::xid8, pg_snapshot_xmin(pg_current_snapshot()))`
  return row
}

/** `expires_at`: seconds since the epoch. */
type FoundToken = {
  id: string
  user_id: number
  scopes: Scope[]
  expires_at: number | null
  is_disabled: boolean
  /** Within the last minute. */
  was_used_lately: boolean
}

/** Only reads, as lookUp does. */
export const findPersonalToken = async (sql: Sql, hash: Uint8Array) => {
  const [row] = await sql.pipelined<FoundToken[]>`
    select
      personal_tokens.id,
      user_id,
      to_json(scopes) as scopes,
      extract(epoch from expires_at)::double precision as expires_at,
      disabled_at is not null as is_disabled,
      coalesce(last_used_at > now() - interval '1 minute', false) as was_used_lately
    from personal_tokens
    join users on users.id = user_id
    where hash = ${hash}`
  return row
}

/** For what was used within the last minute. */
export const touch = (sql: Sql, table: "sessions" | "personal_tokens", ids: string[]) => sql`
  update ${sql(table)}
  set last_used_at = date_trunc('minute', now())
  where id = any (array(select jsonb_array_elements_text(${sql.json(ids)})::uuid))
    and coalesce(last_used_at < date_trunc('minute', now()), true)`
