/** Sessions: a login opens one, and its refresh tokens keep it alive. */
import { createHash, randomBytes, randomUUID } from "node:crypto"
import type { Sql } from "../../database/connection.ts"
import { wrongCredentials, wrongRefreshToken } from "../problems.ts"
import type { Guess } from "../throttle/queries.ts"
import { sessionKey } from "../tokens/revocation-keys.ts"
import type { Tokens } from "../tokens/tokens.ts"
import { insertSession, type Lifetimes, rotateRefreshToken } from "./queries.ts"

const sha256 = (token: string) => createHash("sha256").update(token).digest()

const newRefreshToken = () => randomBytes(32).toString("base64url")

export type SessionDeps = { sql: Sql; tokens: Tokens; refreshDays: number }

const lifetimes = ({ refreshDays, tokens }: SessionDeps): Lifetimes => ({
  refreshDays,
  accessSeconds: tokens.expiresIn,
})

const answer = async (
  tokens: Tokens,
  userId: number,
  sessionId: string,
  refresh_token: string,
) => ({
  access_token: await tokens.issue(userId, sessionId),
  token_type: "bearer" as const,
  expires_in: tokens.expiresIn,
  refresh_token,
})

/** For a guess that turned out right. */
export const openSession = async (
  deps: SessionDeps,
  user: { id: number; password_hash: string },
  guess: Guess,
) => {
  const id = randomUUID()
  const refreshToken = newRefreshToken()
  const session = {
    id,
    userId: user.id,
    passwordHash: user.password_hash,
    refreshTokenHash: sha256(refreshToken),
    guess,
  }
  if (!(await insertSession(deps.sql, session, lifetimes(deps)))) throw wrongCredentials()
  return answer(deps.tokens, user.id, id, refreshToken)
}

export const refreshSession = async (deps: SessionDeps, presented: string) => {
  const fresh = newRefreshToken()
  const session = await rotateRefreshToken(
    deps.sql,
    sha256(presented),
    sha256(fresh),
    lifetimes(deps),
  )
  if (session?.is_late) deps.tokens.revoke([sessionKey(session.id)])
  if (!session || session.is_late) throw wrongRefreshToken()
  return answer(deps.tokens, session.user_id, session.id, fresh)
}
