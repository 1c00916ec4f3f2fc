/** SQL over what lets a user in: the password's hash, and the addresses where the account is known. */
import { createHash } from "node:crypto"
import type { Sql, Statements } from "../database/sql.ts"
import { changedKey, insertRevocations } from "./revocation-keys.ts"
import { isUser } from "./users.ts"

/** The email and the hash are null for a federated user. */
export type Credentials = {
  id: number
  email: string | null
  password_hash: string | null
  /** Whether the user logged in from the client's address lately. */
  is_known: boolean
}

/** A user, or the email of nobody. */
export type Account = Credentials | { email: string }

const hashOfAddress = (address: string) =>
  createHash("sha256").update(`address\n${address}`).digest()

export const findCredentials = async (sql: Sql, user: number | string, address: string) => {
  const [row] = await sql.pipelined<Credentials[]>`
    select
      id,
      email,
      password_hash,
      exists (
        select
        from known_addresses
        where user_id = users.id
          and address_hash = ${hashOfAddress(address)}
          and expires_at > now()
      ) as is_known
    from users
    where ${isUser(sql, user)}`
  return row
}

/** Keeps the password and the user as they are until the transaction ends. False if they have changed. */
export const lockPassword = async (transaction: Statements, userId: number, hash: string) =>
  (
    await transaction`
      select
      from users
      where id = ${userId}
        and password_hash = ${hash}
        and disabled_at is null
      for share`
  ).count === 1

/**
 * Ends all sessions of a user, all tokens without one, and a reset under way, in constant time: whatever is
 * older than tokens_valid_from is refused. An earlier statement of the transaction must have locked the
 * user's row, so that every login before it is older.
 */
export const endAllSessions = (transaction: Statements, userId: number) => transaction`
  with ended as (
    update users
    set tokens_valid_from = statement_timestamp()
    where id = ${userId}
  ), reset as (
    delete from password_resets
    where user_id = ${userId}
  )
  ${insertRevocations(transaction, transaction`values (${changedKey(userId)}, now() + interval '1 hour')`)}`

/** Whether anybody logged in from the address lately. */
export const isKnownToAnybody = async (sql: Sql, address: string) =>
  (
    await sql.pipelined`
      select
      from known_addresses
      where address_hash = ${hashOfAddress(address)}
        and expires_at > now()
      limit 1`
  ).count > 0

const KNOWN_DAYS = 30

/** After a login. */
export const rememberAddress = (transaction: Statements, userId: number, address: string) =>
  transaction`
    insert into known_addresses (user_id, address_hash, expires_at)
    values (${userId}, ${hashOfAddress(address)}, now() + make_interval(days => ${KNOWN_DAYS}))
    on conflict on constraint known_addresses_pkey do update
    set expires_at = excluded.expires_at`
