/**
 * The tokens of a session: an access token and a refresh token. A refresh token is the id of the session, its
 * generation, and a signature of both. The row of the session holds the generation that was issued last, so
 * that no token is stored anywhere.
 */
import { createMac, type Secrets } from "../../keys/mac.ts"
import type { Accounts, RefreshTokens } from "../context.ts"

const REFRESH_TOKEN =
  /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.([1-9][0-9]{0,14}))\.([\w-]{43})$/
const UUID_LENGTH = 36

export const createRefreshTokens = (secrets: Secrets): RefreshTokens => {
  const mac = createMac(secrets, "refresh tokens")
  return {
    sign(sessionId, generation) {
      const text = `${sessionId}.${generation}`
      return `${text}.${mac.sign(text)}`
    },
    read(token) {
      const [, text = "", generation, signature = ""] = REFRESH_TOKEN.exec(token) ?? []
      if (!mac.verify(text, signature)) return undefined
      return { sessionId: text.slice(0, UUID_LENGTH), generation: Number(generation) }
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
    refresh_token: refreshTokens.sign(sessionId, generation),
  }
}

const DAY_SECONDS = 24 * 60 * 60

/** For a session that was opened just now. */
export const issueFirstTokens = (accounts: Accounts, sessionId: string, user_id: number) =>
  issueTokens(accounts, sessionId, {
    user_id,
    generation: 1,
    seconds_left: accounts.lifetimes.maxDays * DAY_SECONDS,
  })
