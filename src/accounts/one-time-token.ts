/** Tokens that are good once, of which the database holds no more than a hash. */
import { createHash, randomBytes } from "node:crypto"

/** Of 256 random bits no salt or slow hash is needed: nobody tries them all. */
export const hashOf = (token: string) => createHash("sha256").update(token).digest()

export const newToken = () => {
  const token = randomBytes(32).toString("base64url")
  return { token, hash: hashOf(token) }
}

/** What whoever made a token is told. */
export type OneTimeToken = { token: string; expires_at: string }
