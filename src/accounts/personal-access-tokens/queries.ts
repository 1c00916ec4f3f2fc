/** All SQL by which users manage their personal tokens. Every statement of a request names the user. */
import type { Sql, Statements } from "../../database/sql.ts"
import type { NewPersonalToken, PersonalToken } from "./schemas.ts"

/** What clients see of a token. */
const columns = (sql: Statements) => sql`
  id, name, to_json(scopes) as scopes, created_at, expires_at, last_used_at`

type Stored = NewPersonalToken & { hash: Uint8Array }

/** So that of concurrent creates one waits for the other, and then counts what that one committed. */
export const lockUser = (transaction: Statements, userId: number) => transaction`
  select id
  from users
  where id = ${userId}
  for no key update`

/** Undefined if the user has as many as allowed. */
export const insertPersonalToken = async (
  transaction: Statements,
  userId: number,
  { name, scopes, expires_at = null, hash }: Stored,
  max: number,
) => {
  const [row] = await transaction<PersonalToken[]>`
    insert into personal_tokens (user_id, name, scopes, expires_at, hash)
    select ${userId}::bigint, ${name}, ${`{${scopes.join()}}`}::text[],
      ${expires_at}::timestamptz, ${hash}::bytea
    where (
      select count(*)
      from personal_tokens
      where user_id = ${userId}
        and coalesce(expires_at > now(), true)
    ) < ${max}
    returning ${columns(transaction)}`
  return row
}

export const listPersonalTokens = async (sql: Sql, userId: number) => {
  const rows = await sql<PersonalToken[]>`
    select ${columns(sql)}
    from personal_tokens
    where user_id = ${userId}
      and coalesce(expires_at > now(), true)
    order by created_at, id`
  // With the driver's subclass of Array, Elysia would lose the headers of the response.
  return [...rows]
}

/**
 * Deletes all of a user's tokens, or one of them. Returns the keys to revoke, made of hashes as
 * personalTokenKey does. Other instances need them only to forget verifications that they remember: a token
 * without a row is refused anyway.
 */
export const deletePersonalTokens = (sql: Statements, userId: number, id?: string) => sql<
  { key: string }[]
>`
  with ended as (
    delete from personal_tokens
    where user_id = ${userId}
      ${id === undefined ? sql`` : sql`and id = ${id}::uuid`}
    returning hash
  )
  insert into revocations (key, expires_at)
  select
    'token:' || rtrim(translate(encode(hash, 'base64'), '+/', '-_'), '='),
    now() + interval '1 hour'
  from ended
  on conflict on constraint revocations_pkey do nothing
  returning key`
