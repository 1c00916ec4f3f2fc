/**
 * Refresh tokens: the id of a session, its generation, and a signature of both. The row of the
 * session holds the current generation, so that no token is stored anywhere.
 */
import { createMac, type Secrets } from "../../keys/mac.ts"

type Presented = { sessionId: string; generation: number }

const SIGNED = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.([1-9][0-9]{0,14}))\.([\w-]{43})$/
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
      if (!mac.verify(text, signature)) return undefined
      return { sessionId: text.slice(0, UUID_LENGTH), generation: Number(generation) }
    },
  }
}
export type RefreshTokens = ReturnType<typeof createRefreshTokens>
