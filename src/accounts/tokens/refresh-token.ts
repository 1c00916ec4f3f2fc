/**
 * Refresh tokens: the id of a session, its generation, its user, and a signature of all. The row of the session
 * holds the generation that was issued last, so that no token is stored anywhere.
 */
import { createMac, type Secrets } from "../../keys/mac.ts"

export const createRefreshTokens = (secrets: Secrets) => {
  const mac = createMac(secrets, "refresh tokens")
  return {
    sign(sessionId: string, generation: number, userId: number) {
      const text = `${sessionId}.${generation}.${userId}`
      return `${text}.${mac.sign(text)}`
    },
    /** Undefined if it was not issued here. Without a user it is of a time when tokens named none. */
    read(token: string) {
      const end = token.lastIndexOf(".")
      const text = token.slice(0, end)
      if (!mac.verify(text, token.slice(end + 1))) return undefined
      const [sessionId = "", generation, userId] = text.split(".")
      return {
        sessionId,
        generation: Number(generation),
        userId: userId === undefined ? undefined : Number(userId),
      }
    },
  }
}
export type RefreshTokens = ReturnType<typeof createRefreshTokens>
