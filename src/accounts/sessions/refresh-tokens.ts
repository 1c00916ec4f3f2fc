/**
 * Refresh tokens: the id of a session, its generation, and a signature of both. The row of the
 * session holds the current generation, so that no token is stored anywhere.
 */
import { createHash } from "node:crypto"
import { createMac, type Secrets } from "../../keys/mac.ts"

/** A token of releases before generations: 32 random bytes, whose hash is stored. */
type Stored = { hash: Uint8Array }
export type Presented = { sessionId: string; generation: number } | Stored

const SIGNED = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.([1-9][0-9]{0,14}))\.([\w-]{43})$/
const STORED = /^[\w-]{43}$/
const UUID_LENGTH = 36

export const createRefreshTokens = (secrets: Secrets) => {
  const mac = createMac(secrets, "refresh tokens")
  return {
    sign(sessionId: string, generation: number): string {
      const text = `${sessionId}.${generation}`
      return `${text}.${mac.sign(text)}`
    },

    /** Undefined if it was not issued here. */
    read(token: string): Presented | undefined {
      const [, text = "", generation, signature = ""] = SIGNED.exec(token) ?? []
      if (mac.verify(text, signature))
        return { sessionId: text.slice(0, UUID_LENGTH), generation: Number(generation) }
      return STORED.test(token) ? { hash: createHash("sha256").update(token).digest() } : undefined
    },
  }
}
export type RefreshTokens = ReturnType<typeof createRefreshTokens>
