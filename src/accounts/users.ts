/** All SQL over users: those who registered, and those who came from outside. */
import type { Sql, Statements } from "../database/connect.ts"
import { folded, ofEmail } from "./emails.ts"
import { userKey, userKeyOf } from "./revocation-keys.ts"
import type { User } from "./schemas.ts"
import { isKnownAddress } from "./throttle/queries.ts"

/** The next id. No row if another system's token named it before: its user exists, or did. */
const drawnId = (sql: Statements) => sql`
  select id
  from (select nextval('user_ids') as id) as drawn
  where not exists (select from users where users.id = drawn.id)
    and not exists (select from revocations where key = ${userKeyOf(sql, sql`drawn.id`)})`

/** Undefined if the drawn id is taken: call it again. */
export const insertUser = async (sql: Statements, email: string, passwordHash: string) => {
  const [row] = await sql<User[]>`
    insert into users (id, email, password_hash)
    select id, ${email}, ${passwordHash}
    from (${drawnId(sql)}) as free
    on conflict on constraint users_pkey do nothing
    returning id, email, created_at`
  return row
}

type Credentials = {
  folded: string
  id: number | null
  password_hash: string | null
  is_known: boolean
}

/** The user with this email, and whether they logged in from this address lately. */
export const findCredentials = async (sql: Sql, email: string, addressHash: Uint8Array) => {
  const [row] = await sql<[Credentials]>`
    select
      ${folded(sql, email)} as folded,
      id,
      password_hash,
      ${isKnownAddress(sql, addressHash, sql`id`)} as is_known
    from (select) as asked
    left join (
      select id, password_hash
      from users
      where ${ofEmail(sql, email)}
    ) as found on true`
  const { id, password_hash } = row
  return {
    /** The email in the form in which emails are compared. */
    folded: row.folded,
    isKnown: row.is_known,
    found: id !== null && password_hash !== null ? { id, password_hash } : undefined,
  }
}

type Password = { password_hash: string | null; is_known: boolean }

/** The hash is null for a user who came from outside. */
export const findPassword = async (sql: Sql, id: number, addressHash: Uint8Array) => {
  const [row] = await sql<Password[]>`
    select
      password_hash,
      ${isKnownAddress(sql, addressHash, sql`users.id`)} as is_known
    from users
    where id = ${id}`
  return row ?? { password_hash: null, is_known: false }
}

export const findUser = async (sql: Sql, id: number) => {
  const [row] = await sql<User[]>`
    select id, email, created_at
    from users
    where id = ${id}`
  return row
}

/** Creates the user unless they exist. False if the user was deleted. */
export const insertOutsideUser = async (sql: Sql, id: number) => {
  const [row] = await sql<[{ is_gone: boolean }]>`
    with created as (
      insert into users (id)
      select ${id}::bigint
      where not exists (select from users where id = ${id})
        and not exists (select from revocations where key = ${userKey(id)})
      on conflict on constraint users_pkey do nothing
    )
    select exists (select from revocations where key = ${userKey(id)}) as is_gone`
  return !row.is_gone
}

/** The id stays taken; the email becomes free again. */
export const deleteUser = (sql: Statements, id: number) => sql`
  with deleted as (
    delete from users
    where id = ${id}
  )
  insert into revocations (key, expires_at)
  values (${userKey(id)}, 'infinity')
  on conflict on constraint revocations_pkey do nothing`

export const findIdentity = async (sql: Sql, issuer: string, subject: string) => {
  const [row] = await sql<{ user_id: number }[]>`
    select user_id
    from identities
    where issuer = ${issuer}
      and subject = ${subject}`
  return row?.user_id
}

/** Undefined if another request was faster, or if the drawn id is taken. */
export const insertIdentity = async (sql: Sql, issuer: string, subject: string) => {
  const [row] = await sql<{ id: number }[]>`
    with identity as (
      insert into identities (issuer, subject, user_id)
      select ${issuer}, ${subject}, id
      from (${drawnId(sql)}) as free
      on conflict on constraint identities_pkey do nothing
      returning user_id
    )
    insert into users (id)
    select user_id
    from identity
    returning id`
  return row?.id
}
