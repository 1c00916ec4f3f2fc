/** SQL over users: those who registered, and federated ones. How emails are compared. */
import type postgres from "postgres"
import { constraintOf } from "../database/errors.ts"
import type { Sql, Statements } from "../database/sql.ts"
import { deletedUser, emailTaken } from "./problems.ts"
import { userKey } from "./revocation-keys.ts"
import type { User } from "./schemas.ts"

type Fragment = postgres.PendingQuery<postgres.Row[]>

/**
 * Emails are compared by it alone: it ignores case, beyond ASCII too, in a database of any locale. `lower`
 * before `upper` makes all forms of sigma equal.
 */
export const folded = (sql: Statements, email: string | Fragment) =>
  sql`upper(lower(${email}::text collate "und-x-icu"))`

/** By id or by email. */
export const isUser = (sql: Statements, user: number | string) =>
  typeof user === "number"
    ? sql`users.id = ${user}`
    : sql`${folded(sql, sql`users.email`)} = ${folded(sql, user)}`

/** On a shard the name of the index ends in a number. */
const UNIQUE_EMAIL = /^users_email_folded_key/

/** Throws a 409 instead of the violated constraint. */
export const unlessEmailTaken = <Result>(statement: Promise<Result>) =>
  statement.catch((error: unknown) => {
    throw UNIQUE_EMAIL.test(constraintOf(error) ?? "") ? emailTaken() : error
  })

/** The next id. No row if another system's token named it before, and its user was deleted. */
const drawnId = (sql: Statements) => sql`
  select id
  from (select nextval('user_ids') as id) as drawn
  where not exists (select from revocations where key = 'user:' || drawn.id)`

/** Throws a 409 if somebody has the email. */
export const insertUser = async (sql: Statements, email: string, passwordHash: string) => {
  for (;;) {
    const [user] = await unlessEmailTaken(sql<User[]>`
      insert into users (id, email, password_hash)
      select id, ${email}, ${passwordHash}
      from (${drawnId(sql)}) as free
      on conflict on constraint users_pkey do nothing
      returning id, email, created_at`)
    // Otherwise the drawn id is in use.
    if (user) return user
  }
}

const findUser = async (sql: Sql, id: number) => {
  const [row] = await sql.pipelined<User[]>`
    select id, email, created_at
    from users
    where id = ${id}`
  return row
}

/** Creates a user whom another system's token names, unless they exist. Throws a 401 if they were deleted. */
export const createFederatedUser = async (sql: Sql, id: number) => {
  const [row] = await sql<[{ is_deleted: boolean }]>`
    with created as (
      insert into users (id)
      select ${id}::bigint
      where not exists (select from revocations where key = ${userKey(id)})
      on conflict on constraint users_pkey do nothing
    )
    select exists (select from revocations where key = ${userKey(id)}) as is_deleted`
  if (row.is_deleted) throw deletedUser()
}

export const isDeleted = async (sql: Sql, id: number) =>
  (await sql.pipelined`select from revocations where key = ${userKey(id)}`).count > 0

/** Federated users get a row with their first write, or when they are first asked for. */
export const findOrCreateUser = async (sql: Sql, id: number): Promise<User> => {
  const known = await findUser(sql, id)
  if (known) return known
  await createFederatedUser(sql, id)
  const created = await findUser(sql, id)
  if (!created) throw deletedUser()
  return created
}

/** The user of an issuer's subject, who is created if there is none. */
export const userOfIdentity = async (sql: Sql, issuer: string, subject: string) => {
  for (;;) {
    const [known] = await sql.pipelined<{ user_id: number }[]>`
      select user_id
      from identities
      where issuer = ${issuer}
        and subject = ${subject}`
    if (known) return known.user_id
    const insert = sql<{ id: number }[]>`
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
    // None if another request was faster, or if the drawn id is in use.
    const [created] = await insert.catch((error: unknown) => {
      if (constraintOf(error) === "users_pkey") return []
      throw error
    })
    if (created) return created.id
  }
}
