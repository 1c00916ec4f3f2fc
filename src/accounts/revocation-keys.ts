/** The keys in the table of revocations. Each stands for the tokens that it revokes. */
import { createHash } from "node:crypto"

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
