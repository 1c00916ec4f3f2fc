/** Judges a bearer token: whose it is, and whether it is good. Remembers nothing. */
import type { JWTVerifyOptions } from "jose"
import type { Logger } from "pino"
import type { Sql } from "../../database/connect.ts"
import { Problem } from "../../http/problem.ts"
import { disabledUser, invalidToken, revokedToken } from "../problems.ts"
import { changedKey, sessionKey, tokenKey, userKey } from "../revocation-keys.ts"
import type { Verified } from "./caller.ts"
import type { Issuer } from "./federated-issuer.ts"
import { isPersonal, judgePersonalToken } from "./personal-access-token.ts"
import { reserveUnlessRevoked } from "./queries.ts"
import type { Signature } from "./signature.ts"

/** Seconds of clock difference that `iat` and `nbf` may have. `exp` gets none. */
const LEEWAY = 5
/** Characters. All headers may have 16 KiB, but thousands of tokens are cached. */
const TOKEN_LIMIT = 8_192

/** A decimal user id. RFC 7519, section 4.1.2 makes `sub` a string. */
const USER_ID = /^[1-9][0-9]{0,15}$/
/** The beginning of our own `jti`. Other systems may use any text. */
const SESSION_ID = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\./

/** Makes jose verify the signature alone: @elysiajs/jwt would not tell an expired token from a wrong one. */
const signatureOnly = {
  requiredClaims: ["exp", "sub"],
  clockTolerance: Number.MAX_SAFE_INTEGER / 2,
} satisfies JWTVerifyOptions

const isTime = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value)

const ownUserId = (sub: unknown): number | undefined =>
  typeof sub === "string" && USER_ID.test(sub) && Number.isSafeInteger(Number(sub))
    ? Number(sub)
    : undefined

/** RFC 7515, section 2. jose also accepts padding, white space and spare bits, which nobody signed. */
const isBase64url = (text: string) => Buffer.from(text, "base64url").toString("base64url") === text

type Deps = {
  sql: Sql
  log: Logger
  verify: Signature["verify"]
  issuer: Issuer | undefined
  /** Whether one of the keys was revoked at that time (performance.now) or later. */
  changedSince: (judgedAt: number, keys: string[]) => boolean
}

/** The claims of a token with a good signature. */
type Claimed = {
  userId: number
  sessionId: string | undefined
  iat: number
  exp: number
}

/** A Problem that is returned is final. One that is thrown may not be: the token may be good later. */
export const createJudge = ({ sql, log, verify, issuer, changedSince }: Deps) => {
  const judgePersonal = async (token: string): Promise<Verified | Problem> => {
    for (;;) {
      const verdict = await judgePersonalToken(sql, token, log)
      if (verdict instanceof Problem) return verdict
      if (!changedSince(verdict.judgedAt, verdict.watched)) return verdict
    }
  }

  const readClaims = async (token: string): Promise<Claimed | Problem> => {
    if (!isBase64url(token.slice(token.lastIndexOf(".") + 1)))
      return invalidToken("The token is invalid")
    const outside = issuer?.claims(token) ? issuer : undefined
    const claims = outside
      ? await outside.verify(token, signatureOnly)
      : await verify(token, signatureOnly)
    if (!claims) return invalidToken("The token is invalid")
    const { iss, sub, exp, nbf = 0, iat = 0, jti } = claims
    if (!outside && iss !== undefined) return invalidToken("The issuer is not known")
    if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return invalidToken("The token is invalid")
    const now = Date.now() / 1000
    if (exp <= now) return invalidToken("The token has expired")
    if (nbf > now + LEEWAY || iat > now + LEEWAY) throw invalidToken("The token is not yet valid")
    const userId = outside ? await outside.userId(sub) : ownUserId(sub)
    if (userId === undefined) return invalidToken("The subject is no user id")
    const isOurs = !outside && typeof jti === "string"
    return { userId, sessionId: isOurs ? SESSION_ID.exec(jti)?.[1] : undefined, iat, exp }
  }

  return async (token: string): Promise<Verified | Problem> => {
    if (token.length > TOKEN_LIMIT) throw invalidToken("The token is too long")
    if (isPersonal(token)) return judgePersonal(token)
    const claimed = await readClaims(token)
    if (claimed instanceof Problem) return claimed
    const { userId, sessionId, iat, exp: expiresAt } = claimed
    const ownKey = tokenKey(token)
    const keys = [userKey(userId), ownKey]
    if (sessionId !== undefined) keys.push(sessionKey(sessionId))
    const watched = [...keys, changedKey(userId)]
    let judgedAt: number
    let isDisabled: boolean
    do {
      judgedAt = performance.now()
      const found = await reserveUnlessRevoked(sql, { userId, sessionId, iat, keys })
      if (found.is_revoked) return revokedToken()
      isDisabled = found.is_disabled
      // A revocation came in between: the next statement sees it.
    } while (changedSince(judgedAt, watched))
    if (isDisabled) throw disabledUser()
    return { userId, sessionId, tokenKey: ownKey, expiresAt, watched, judgedAt }
  }
}
