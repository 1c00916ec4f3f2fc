/** All SQL by which users keep their personal tokens. Every statement of a request names the user. */
import type postgres from "postgres"
import type { Sql, Statements } from "../../database/connection.ts"
import { deleteExpiredRows } from "../../database/expired-rows.ts"
import type { NewPersonalToken, PersonalToken } from "./model.ts"

/** As clients get them. */
const columns = (sql: Statements) => sql`
  id, name, to_json(scopes) as scopes, created_at, expires_at, last_used_at`

type Stored = NewPersonalToken & { hash: Uint8Array }

/**
 * Undefined where the user has as many as they may. The user's row is locked, so that creates take
 * turns; the count is a statement of its own, which sees what the one before it committed.
 */
export const insertPersonalToken = (
  sql: Sql,
  userId: number,
  { name, scopes, expires_at = null, hash }: Stored,
  max: number,
) =>
  sql.begin(async (transaction) => {
    await transaction`
      select id
      from users
      where id = ${userId}
      for no key update`
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
  })

export const listPersonalTokens = async (sql: Sql, userId: number) => {
  const rows = await sql<PersonalToken[]>`
    select ${columns(sql)}
    from personal_tokens
    where user_id = ${userId}
      and coalesce(expires_at > now(), true)
    order by created_at, id`
  // The driver's own kind of array would lose the answer's headers.
  return [...rows]
}

/**
 * Makes keys of hashes as personalTokenKey does. The other instances read the keys to forget whom
 * they let in before, which takes seconds: a token without a row is refused whatever they say.
 */
const revoked = (sql: Statements, which: postgres.PendingQuery<postgres.Row[]>) => sql<
  { key: string }[]
>`
  with ended as (
    delete from personal_tokens
    where ${which}
    returning hash
  )
  insert into revocations (key, expires_at)
  select
    'token:' || rtrim(translate(encode(hash, 'base64'), '+/', '-_'), '='),
    now() + interval '1 hour'
  from ended
  on conflict on constraint revocations_pkey do nothing
  returning key`

/** The key to be revoked, in a list. An empty one where the user has no such token. */
export const deletePersonalToken = (sql: Sql, userId: number, id: string) =>
  revoked(sql, sql`user_id = ${userId} and id = ${id}::uuid`)

/** All of a user's: for a password that was reset. The keys to be revoked. */
export const deletePersonalTokens = (sql: Statements, userId: number) =>
  revoked(sql, sql`user_id = ${userId}`)

export const deleteExpiredPersonalTokens = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "personal_tokens", limit)
