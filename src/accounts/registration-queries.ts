/** All SQL over invites. */
import type { Sql, Statements } from "../database/connect.ts"
import { deleteExpiredRows } from "../database/expired-rows.ts"
import { folded } from "./emails.ts"
import { newToken, type OneTimeToken } from "./random-token.ts"

const DAYS = 7

/** An invite without an email is good for anybody who has it. */
export const createInvite = async (sql: Sql, email: string | null): Promise<OneTimeToken> => {
  const { token, hash } = newToken()
  const [row] = await sql<[{ expires_at: string }]>`
    insert into invites (hash, email, expires_at)
    values (${hash}, ${email}, now() + make_interval(days => ${DAYS}))
    returning expires_at`
  return { token, expires_at: row.expires_at }
}

const goodFor = (sql: Statements, hash: Uint8Array, email: string) => sql`
  hash = ${hash}
    and expires_at > now()
    and (email is null or ${folded(sql, sql`email`)} = ${folded(sql, email)})`

export const isInvited = async (sql: Statements, hash: Uint8Array, email: string) =>
  (
    await sql`
      select
      from invites
      where ${goodFor(sql, hash, email)}`
  ).count === 1

/** False if the invite is not good, or another registration used it. Waits for that one to end. */
export const useInvite = async (sql: Statements, hash: Uint8Array, email: string) =>
  (
    await sql`
      delete from invites
      where ${goodFor(sql, hash, email)}`
  ).count === 1

export const deleteExpiredInvites = (sql: Sql, limit: number) =>
  deleteExpiredRows(sql, "invites", limit)
