/**
 * POST /auth/refresh. A session is at a generation: the refresh token of that one rotates it to the next, the
 * token before it repeats the last refresh for 10 seconds, and any older token ends the session.
 */
import type { Sql } from "../../database/sql.ts"
import type { Client } from "../../http/client-address.ts"
import { anonymous } from "../../http/guard.ts"
import { jsonBody } from "../../http/json-body.ts"
import type { Accounts, Lifetimes } from "../context.ts"
import { deletedUser, wrongRefreshToken } from "../problems.ts"
import { sessionKey } from "../revocation-keys.ts"
import { refreshToken, tokens } from "../schemas.ts"
import type { Session } from "../tokens/session-tokens.ts"
import { isDeleted } from "../users.ts"
import { columns, endSession, extendedEnd, isAlive } from "./queries.ts"

export const refresh = (accounts: Accounts) =>
  anonymous(accounts, "/auth").post(
    "/refresh",
    ({ body, client }) => refreshSession(accounts, body.refresh_token, client),
    {
      ...jsonBody(refreshToken),
      response: { 200: tokens },
      detail: {
        operationId: "refresh",
        summary: "Get new tokens for a refresh token",
        errors: ["UNAUTHORIZED"],
        description:
          "A refresh token can be used once. If the response is lost, the same request may be " +
          "repeated within 10 seconds: it gives the same new refresh token again, unless that has " +
          "been used. Any other reuse of a token ends the whole session.",
      },
    },
  )

const refreshSession = async (accounts: Accounts, token: string, client: Client) => {
  const { sql, tokens, sessionTokens, lifetimes, logEvent } = accounts
  const presented = sessionTokens.readRefreshToken(token)
  if (!presented) throw wrongRefreshToken()
  const { sessionId, generation, userId } = presented
  const rotated = await rotate(sql, sessionId, generation, client, lifetimes)
  if (rotated) return sessionTokens.issue(rotated)
  const later = await findLater(sql, sessionId, generation, lifetimes)
  if (!later) throw userId && (await isDeleted(sql, userId)) ? deletedUser() : wrongRefreshToken()
  if (!later.is_reuse) return sessionTokens.issue(later)
  await endSession(sql, later.user_id, sessionId, lifetimes)
  tokens.revoke([sessionKey(sessionId)])
  logEvent("session_ended_by_reuse", { userId: later.user_id, address: client.address })
  throw wrongRefreshToken()
}

/**
 * Rotates a session to the next generation. Undefined if it was rotated before, or has ended. A generation
 * above the row's is of a time after the backup that was restored.
 */
const rotate = async (
  sql: Sql,
  sessionId: string,
  generation: number,
  { userAgent, address }: Client,
  lifetimes: Lifetimes,
) => {
  const [session] = await sql<Session[]>`
    update sessions
    set generation = ${generation}::bigint + 1,
      rotated_at = now(),
      last_used_at = now(),
      expires_at = ${extendedEnd(sql, lifetimes)},
      user_agent = ${userAgent},
      address = ${address}
    from users
    where sessions.id = ${sessionId}::uuid
      and generation <= ${generation}::bigint
      and rotated_at > now() - make_interval(secs => ${lifetimes.refresh})
      and ${isAlive(sql, lifetimes)}
    returning ${columns(sql, lifetimes)}`
  return session
}

/**
 * The session of a token of an earlier generation. If the response to it may have been lost, and nobody has used
 * that response's token, the refresh is repeated. Otherwise two parties have the token. Undefined if the session
 * has ended.
 */
const findLater = async (sql: Sql, sessionId: string, generation: number, lifetimes: Lifetimes) => {
  const [session] = await sql<(Session & { is_reuse: boolean })[]>`
    select
      ${columns(sql, lifetimes)},
      generation <> ${generation}::bigint + 1
        or rotated_at < now() - interval '10 seconds' as is_reuse
    from sessions
    join users on ${isAlive(sql, lifetimes)}
    where sessions.id = ${sessionId}::uuid
      and generation > ${generation}::bigint`
  return session
}
