/** The table of revocations: its keys, each of which stands for the tokens that it revokes, and how one gets there. */
import { createHash } from "node:crypto"
import type postgres from "postgres"
import type { Statements } from "../database/sql.ts"

/** All tokens of a user. The row stays for ever, so that the id is never given to anybody else. */
export const userKey = (id: number) => `user:${id}`

/** Revokes nothing by itself: it makes every instance verify the user's tokens again. */
export const changedKey = (id: number) => `user:${id}:changed`

/** The access tokens of a session. */
export const sessionKey = (id: string) => `session:${id}`

/** One token, without its signature: anybody can turn a valid ECDSA signature into another valid one. */
export const tokenKey = (token: string) =>
  `token:${createHash("sha256")
    .update(token.slice(0, token.lastIndexOf(".")))
    .digest("base64url")}`

/** A personal access token, by its id in the database. */
export const personalTokenKey = (id: string) => `token:${id}`

/** The end of a statement: inserts `rows`, each a key and when it expires. Every instance learns of them, again too. */
export const insertRevocations = (
  sql: Statements,
  rows: postgres.PendingQuery<postgres.Row[]>,
) => sql`
  insert into revocations (key, expires_at) ${rows}
  on conflict on constraint revocations_pkey do update
  set expires_at = excluded.expires_at,
    transaction_id = excluded.transaction_id`
