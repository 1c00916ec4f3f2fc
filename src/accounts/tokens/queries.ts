/** SQL over tokens: which are revoked, and when they were used. */
import type { Sql } from "../../database/sql.ts"
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

/** For what was used within the last minute. */
export const touch = (sql: Sql, table: "sessions" | "personal_tokens", ids: string[]) => sql`
  update ${sql(table)}
  set last_used_at = date_trunc('minute', now())
  where id = any (array(select jsonb_array_elements_text(${sql.json(ids)})::uuid))
    and coalesce(last_used_at < date_trunc('minute', now()), true)`
