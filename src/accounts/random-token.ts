/** Random tokens, of which the database stores only a hash. */
import { createHash, randomBytes } from "node:crypto"

/** 256 random bits need neither a salt nor a slow hash: nobody can try them all. */
export const hashOf = (token: string) => createHash("sha256").update(token).digest()

export const newToken = (prefix = "") => {
  const token = prefix + randomBytes(32).toString("base64url")
  return { token, hash: hashOf(token) }
}

/** Whether it may be one of ours: for what else there needs no statement. */
export const isToken = (text: string) => /^[\w-]{43}$/.test(text)

/** For whoever asked for the token: it is shown only once. */
export type OneTimeToken = { token: string; expires_at: string }
