/** All SQL over users and their sessions. */
import type { Sql } from "../database/connection.ts"
import type { User } from "./model.ts"

export const insertUser = async (sql: Sql, email: string, passwordHash: string) => {
  // Skips ids that another system's tokens took first: a row of users, or one of deleted_users.
  const [row] = await sql<User[]>`
    insert into users (id, email, password_hash)
    select id, ${email}, ${passwordHash}
    from (select nextval('user_ids') as id) as drawn
    where not exists (select from deleted_users where deleted_users.id = drawn.id)
    on conflict on constraint users_pkey do nothing
    returning id, email, created_at`
  return row
}

export const findCredentials = async (sql: Sql, email: string) => {
  const [row] = await sql<{ id: number; password_hash: string | null }[]>`
    select id, password_hash
    from users
    where lower(email collate "und-x-icu") = lower(${email} collate "und-x-icu")`
  return row
}

export const findUser = async (sql: Sql, id: number) => {
  const [row] = await sql<User[]>`
    select id, email, created_at
    from users
    where id = ${id}`
  return row
}

/** For a user whom another system's token names: created on first sight of a write. */
export const insertOutsideUser = (sql: Sql, id: number) => sql`
  insert into users (id)
  select ${id}::bigint
  where not exists (select from deleted_users where id = ${id})
  on conflict on constraint users_pkey do nothing`

export const insertSession = (
  sql: Sql,
  session: { id: string; userId: number; refreshTokenHash: Uint8Array; days: number },
) => sql`
  insert into sessions (id, user_id, refresh_token_hash, expires_at)
  values (
    ${session.id},
    ${session.userId},
    ${session.refreshTokenHash},
    now() + make_interval(days => ${session.days})
  )`
