/** Personal access tokens: their form, and whether one is good. */
import { randomBytes } from "node:crypto"
import type { Logger } from "pino"
import type { Sql } from "../../database/connect.ts"
import type { Problem } from "../../http/problem.ts"
import { disabledUser, invalidToken } from "../problems.ts"
import { hashOf } from "../random-token.ts"
import { changedKey, personalTokenKey, userKey } from "../revocation-keys.ts"
import type { Verified } from "./caller.ts"
import { findPersonalToken, touchPersonalToken } from "./queries.ts"

/** Tells them from JWTs, also for scanners that look for leaked secrets. */
const PREFIX = "todo_"
const FORM = /^todo_[\w-]{43}$/

/** 256 random bits cannot be guessed, so that a plain hash may be stored. */
export const newPersonalToken = () => PREFIX + randomBytes(32).toString("base64url")

export const isPersonal = (token: string) => token.startsWith(PREFIX)

const TOUCH_MS = 60_000

/** Writes the time of the last use, at most once a minute and without delaying the request. */
const touchOnceAMinute = (sql: Sql, id: string, log: Logger) => {
  let touchedAt = performance.now()
  return () => {
    if (performance.now() < touchedAt + TOUCH_MS) return
    touchedAt = performance.now()
    touchPersonalToken(sql, id).catch((err: unknown) =>
      log.debug({ err }, "the use of a personal token was not noted"),
    )
  }
}

/** A Problem that is returned is final. One that is thrown may not be: the token may be good later. */
export const judgePersonalToken = async (
  sql: Sql,
  token: string,
  log: Logger,
): Promise<Verified | Problem> => {
  if (!FORM.test(token)) return invalidToken("The token is invalid")
  const judgedAt = performance.now()
  const hash = hashOf(token)
  const found = await findPersonalToken(sql, hash)
  if (!found) return invalidToken("The token is unknown, or has been revoked")
  const { id, user_id: userId, scopes, expires_at } = found
  const expiresAt = expires_at ?? Number.POSITIVE_INFINITY
  if (expiresAt <= Date.now() / 1000) return invalidToken("The token has expired")
  if (found.is_disabled) throw disabledUser()
  const tokenKey = personalTokenKey(hash)
  const watched = [userKey(userId), changedKey(userId), tokenKey]
  const used = touchOnceAMinute(sql, id, log)
  return { userId, sessionId: undefined, tokenKey, expiresAt, scopes, watched, judgedAt, used }
}
