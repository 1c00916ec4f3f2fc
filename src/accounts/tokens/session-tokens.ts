/**
 * The tokens of a session. A refresh token is the id of the session, its generation, its user, and a signature of
 * all: the row of the session holds the generation that was issued last, so that no token is stored anywhere.
 */
import { createMac, type Secrets } from "../../keys.ts"
import type { Tokens } from "./authenticate.ts"

/** A session, as far as its next tokens need it. */
export type Session = {
  id: string
  user_id: number
  generation: number
  /** Until it ends at the latest. */
  seconds_left: number
}

export const createSessionTokens = (
  secrets: Secrets,
  tokens: Pick<Tokens, "issue" | "expiresIn">,
) => {
  const mac = createMac(secrets, "refresh tokens")
  return {
    async issue({ id, user_id, generation, seconds_left }: Session) {
      const expires_in = Math.min(tokens.expiresIn, seconds_left)
      const text = `${id}.${generation}.${user_id}`
      return {
        access_token: await tokens.issue(user_id, id, expires_in),
        token_type: "bearer" as const,
        expires_in,
        refresh_token: `${text}.${mac.sign(text)}`,
      }
    },
    /** Undefined if it was not issued here. Its user is NaN if it is of a time when tokens named none. */
    readRefreshToken(token: string) {
      const end = token.lastIndexOf(".")
      const text = token.slice(0, end)
      if (!mac.verify(text, token.slice(end + 1))) return undefined
      const [sessionId = "", generation, userId] = text.split(".")
      return { sessionId, generation: Number(generation), userId: Number(userId) }
    },
  }
}
export type SessionTokens = ReturnType<typeof createSessionTokens>
