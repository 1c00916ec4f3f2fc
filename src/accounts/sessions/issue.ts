/**
 * The tokens of a session: an access token and a refresh token. A refresh token is the id of the session, its
 * generation, its user, and a signature of all. The row of the session holds the generation that was issued
 * last, so that no token is stored anywhere.
 */
import { createMac, type Secrets } from "../../keys/mac.ts"
import type { Accounts, RefreshTokens } from "../context.ts"

export const createRefreshTokens = (secrets: Secrets): RefreshTokens => {
  const mac = createMac(secrets, "refresh tokens")
  return {
    sign(sessionId, generation, userId) {
      const text = `${sessionId}.${generation}.${userId}`
      return `${text}.${mac.sign(text)}`
    },
    read(token) {
      const end = token.lastIndexOf(".")
      const text = token.slice(0, end)
      if (!mac.verify(text, token.slice(end + 1))) return undefined
      const [sessionId = "", generation, userId] = text.split(".")
      return {
        sessionId,
        generation: Number(generation),
        userId: userId ? Number(userId) : undefined,
      }
    },
  }
}

/** A session, as far as its next tokens need it. */
export type SessionState = {
  user_id: number
  generation: number
  /** Until the session ends at the latest. */
  seconds_left: number
}

export const issueTokens = async (
  { tokens, refreshTokens }: Pick<Accounts, "tokens" | "refreshTokens">,
  sessionId: string,
  { user_id, generation, seconds_left }: SessionState,
) => {
  const expires_in = Math.min(tokens.expiresIn, seconds_left)
  return {
    access_token: await tokens.issue(user_id, sessionId, expires_in),
    token_type: "bearer" as const,
    expires_in,
    refresh_token: refreshTokens.sign(sessionId, generation, user_id),
  }
}

/** For a session that was opened just now. */
export const issueFirstTokens = (accounts: Accounts, sessionId: string, user_id: number) =>
  issueTokens(accounts, sessionId, {
    user_id,
    generation: 1,
    seconds_left: accounts.lifetimes.session,
  })
