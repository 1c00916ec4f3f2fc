/**
 * Refreshes a session. A session is at a generation: the token of that one moves it to the next, the
 * token before it repeats the last refresh for 10 seconds, and any older token ends the session.
 */

import type { Client } from "../client.ts"
import { wrongRefreshToken } from "../problems.ts"
import { sessionKey } from "../revocation-keys.ts"
import { type SessionDeps, tokensOf } from "./issue.ts"
import { moveOn, repeatOrEnd } from "./refresh.ts"

export const refreshSession = async (deps: SessionDeps, token: string, client: Client) => {
  const { sql, tokens, refreshTokens, lifetimes, logEvent } = deps
  const presented = refreshTokens.read(token)
  if (!presented) throw wrongRefreshToken()
  const { sessionId, generation } = presented
  const moved = await moveOn(sql, sessionId, generation, client, lifetimes)
  if (moved) return tokensOf(deps, sessionId, moved)
  const repeated = await repeatOrEnd(sql, sessionId, generation, lifetimes)
  if (!repeated) throw wrongRefreshToken()
  if (repeated.is_reuse) {
    tokens.revoke([sessionKey(sessionId)])
    logEvent("session_ended_by_reuse", { userId: repeated.user_id, address: client.address })
    throw wrongRefreshToken()
  }
  return tokensOf(deps, sessionId, repeated)
}
