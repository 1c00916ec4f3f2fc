/** Personal access tokens: their form, and whether one is valid. */
import type { Sql } from "../../database/sql.ts"
import type { Scope } from "../../http/guard.ts"
import type { Problem } from "../../http/problem.ts"
import { disabledUser, invalidToken } from "../problems.ts"
import { hashOf, newToken } from "../random-token.ts"
import { changedKey, personalTokenKey, userKey } from "../revocation-keys.ts"
import type { Verification } from "./jwt.ts"

/** Tells them from JWTs, also for scanners that look for leaked secrets. */
const PREFIX = "todo_"
const FORM = /^todo_[\w-]{43}$/

export const newPersonalToken = () => newToken(PREFIX)

export const isPersonal = (token: string) => token.startsWith(PREFIX)

/** `expires_at`: seconds since the epoch. */
type FoundToken = {
  id: string
  user_id: number
  scopes: Scope[]
  expires_at: number | null
  is_disabled: boolean
}

/** A Problem that is returned is final. One that is thrown may not be: the token may be valid later. */
export const verifyPersonalToken = async (
  sql: Sql,
  token: string,
): Promise<Verification | Problem> => {
  if (!FORM.test(token)) return invalidToken("The token is invalid")
  const verifiedAt = performance.now()
  // Only reads, so that it works while the database is read-only.
  const [found] = await sql.pipelined<FoundToken[]>`
    select
      personal_tokens.id,
      user_id,
      to_json(scopes) as scopes,
      extract(epoch from expires_at)::double precision as expires_at,
      disabled_at is not null as is_disabled
    from personal_tokens
    join users on users.id = user_id
    where hash = ${hashOf(token)}`
  if (!found) return invalidToken("The token is unknown, or has been revoked")
  const { id, user_id: userId, scopes, expires_at } = found
  const expiresAt = expires_at ?? Number.POSITIVE_INFINITY
  if (expiresAt <= Date.now() / 1000) return invalidToken("The token has expired")
  if (found.is_disabled) throw disabledUser()
  const tokenKey = personalTokenKey(id)
  return {
    userId,
    sessionId: undefined,
    personalTokenId: id,
    scopes,
    tokenKey,
    expiresAt,
    revocationKeys: [userKey(userId), changedKey(userId), tokenKey],
    verifiedAt,
  }
}
