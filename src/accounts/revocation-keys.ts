/** The keys of revocations: what a row of that table revokes all tokens of. */
import { createHash } from "node:crypto"
import type postgres from "postgres"
import type { Sql, Statements } from "../database/connection.ts"

/** All tokens of a user. Such a row stays for ever, so that the id is never given to another. */
export const userKey = (id: number) => `user:${id}`

/**
 * Revokes nothing by itself: it tells the instances that tokens of a user which they have let in
 * are to be judged anew.
 */
export const changedKey = (id: number) => `user:${id}:changed`

/** The access tokens of a session. */
export const sessionKey = (id: string) => `session:${id}`

/** One token. Without its signature: of one by ECDSA anybody can make a second that is as good. */
export const tokenKey = (token: string) =>
  `token:${createHash("sha256")
    .update(token.slice(0, token.lastIndexOf(".")))
    .digest("base64url")}`

/** A personal access token, by the hash that the database has of it. */
export const personalTokenKey = (hash: Buffer) => `token:${hash.toString("base64url")}`

type Fragment = postgres.PendingQuery<postgres.Row[]>

/** The same keys where only the statement knows the ids. */
export const userKeyOf = (sql: Sql | Statements, id: Fragment) => sql`'user:' || ${id}`
export const sessionKeyOf = (sql: Sql | Statements, id: Fragment) => sql`'session:' || ${id}`
