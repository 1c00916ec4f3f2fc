/** Issues the tokens of a session: an access token and a refresh token. */
import type { Accounts } from "../context.ts"
import type { Session } from "./queries.ts"

export const issueTokens = async (
  { tokens, refreshTokens }: Pick<Accounts, "tokens" | "refreshTokens">,
  { id, user_id, generation, seconds_left }: Session,
) => {
  const expires_in = Math.min(tokens.expiresIn, seconds_left)
  return {
    access_token: await tokens.issue(user_id, id, expires_in),
    token_type: "bearer" as const,
    expires_in,
    refresh_token: refreshTokens.sign(id, generation, user_id),
  }
}
