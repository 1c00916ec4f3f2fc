/** The answers that carry the tokens of a session. */
import type { Sql } from "../../database/connect.ts"
import type { LogEvent } from "../security-log.ts"
import type { Tokens } from "../tokens/authenticate.ts"
import type { Lifetimes } from "./lifetime.ts"
import type { RefreshTokens } from "./refresh-tokens.ts"

export type SessionDeps = {
  sql: Sql
  tokens: Tokens
  refreshTokens: RefreshTokens
  lifetimes: Lifetimes
  logEvent: LogEvent
}

/** A session, as far as its next tokens need it. */
export type Link = {
  user_id: number
  generation: number
  /** Until the session ends at the latest. */
  seconds_left: number
}

/** The tokens of a session at this generation. */
export const tokensOf = async (
  { tokens, refreshTokens }: Pick<SessionDeps, "tokens" | "refreshTokens">,
  sessionId: string,
  { user_id, generation, seconds_left }: Link,
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

/** The tokens of a session that was opened just now. */
export const tokensOfNewSession = (deps: SessionDeps, sessionId: string, user_id: number) =>
  tokensOf(deps, sessionId, {
    user_id,
    generation: 1,
    seconds_left: deps.lifetimes.maxDays * DAY_SECONDS,
  })
