/** Signs access tokens, and verifies JWTs: signature, claims, and whether they are revoked. */
import { jwt } from "@elysiajs/jwt"
import type { JWTVerifyOptions } from "jose"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/sql.ts"
import type { Scope } from "../../http/guard.ts"
import type { Problem } from "../../http/problem.ts"
import type { Secrets } from "../../keys.ts"
import { deletedUser, disabledUser, invalidToken, revokedToken } from "../problems.ts"
import { changedKey, sessionKey, tokenKey, userKey } from "../revocation-keys.ts"
import type { Issuer } from "./federated-issuer.ts"
import { reserveUnlessRevoked } from "./queries.ts"

/** What is known of a token that is valid. */
export type Verification = {
  userId: number
  /** The session that the token belongs to, if it is one of ours. */
  sessionId: string | undefined
  /** Of a personal access token. */
  personalTokenId?: string
  /** What a personal access token allows. Other tokens allow everything that their user may do. */
  scopes?: Scope[]
  /** The key under which the token itself is revoked. */
  tokenKey: string
  /** Seconds since the epoch; infinity for a personal token that does not expire. */
  expiresAt: number
  /** What revokes the token, or may have changed it: its user's, its session's, its own. */
  revocationKeys: string[]
  /** When the database was asked about them, by performance.now(). */
  verifiedAt: number
}

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

export const createJwt = (
  { sql, issuer }: { sql: Sql; issuer: Issuer | undefined },
  [current, ...previous]: Secrets,
  alg: Config["ALGORITHM"],
) => {
  const by = (secret: string) => jwt({ name: "jwt", secret, alg }).decorator.jwt
  const { sign, verify } = by(current)
  const verifiers = [verify, ...previous.map((secret) => by(secret).verify)]

  /** Undefined if no secret signed it. */
  const verifyOwn = async (token: string) => {
    for (const verifyBy of verifiers) {
      const claims = await verifyBy(token, { ...signatureOnly, algorithms: [alg] })
      if (claims) return claims
    }
    return undefined
  }

  const readClaims = async (token: string) => {
    if (!isBase64url(token.slice(token.lastIndexOf(".") + 1)))
      return invalidToken("The token is invalid")
    const federated = issuer?.claims(token) ? issuer : undefined
    const claims = federated ? await federated.verify(token, signatureOnly) : await verifyOwn(token)
    if (!claims) return invalidToken("The token is invalid")
    const { iss, sub, exp, nbf = 0, iat = 0, jti } = claims
    if (!federated && iss !== undefined) return invalidToken("The issuer is not known")
    if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return invalidToken("The token is invalid")
    const now = Date.now() / 1000
    if (exp <= now) return invalidToken("The token has expired")
    if (nbf > now + LEEWAY || iat > now + LEEWAY) throw invalidToken("The token is not yet valid")
    const userId = federated ? await federated.userId(sub) : ownUserId(sub)
    if (userId === undefined) return invalidToken("The subject is no user id")
    const isOurs = !federated && typeof jti === "string"
    return { userId, sessionId: isOurs ? SESSION_ID.exec(jti)?.[1] : undefined, iat, exp }
  }

  return {
    sign,

    /** A Problem that is returned is final. One that is thrown may not be: the token may be valid later. */
    async verify(token: string): Promise<Verification | Problem> {
      if (token.length > TOKEN_LIMIT) throw invalidToken("The token is too long")
      const claims = await readClaims(token)
      if (!("userId" in claims)) return claims
      const { userId, sessionId, iat, exp: expiresAt } = claims
      const ownKey = tokenKey(token)
      const keys = [userKey(userId), ownKey]
      if (sessionId !== undefined) keys.push(sessionKey(sessionId))
      const revocationKeys = [...keys, changedKey(userId)]
      const verifiedAt = performance.now()
      const found = await reserveUnlessRevoked(sql, { userId, sessionId, iat, keys })
      if (found.is_deleted) return deletedUser()
      if (found.is_revoked) return revokedToken()
      if (found.is_disabled) throw disabledUser()
      return { userId, sessionId, tokenKey: ownKey, expiresAt, revocationKeys, verifiedAt }
    },
  }
}
