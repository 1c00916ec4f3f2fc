/** Access tokens: signing ours, and judging whatever a client sends as a bearer token. */
import { jwt } from "@elysiajs/jwt"
import type { Config } from "../config.ts"
import { Problem } from "../errors.ts"
import { createTokenCache } from "./token-cache.ts"

/** Who a request is made by. */
export type Caller = {
  userId: number
  /** Seconds since the epoch. */
  expiresAt: number
  jti: string | undefined
}

/** Seconds of clock difference that `iat` and `nbf` may have. `exp` gets none. */
const LEEWAY = 5
/** Characters. All headers together may have 16 KiB, and what is kept is kept many times. */
const TOKEN_LIMIT = 8_192
const CACHE_LIMIT = 10_000
/** A decimal user id. RFC 7519, section 4.1.2 makes `sub` a string. */
const USER_ID = /^[1-9][0-9]{0,15}$/
/** Makes jose judge the signature alone: it would not say whether a token is expired or wrong. */
const NO_TIME_CHECK = Number.MAX_SAFE_INTEGER / 2

const unauthorized = (detail: string, challenge: string) =>
  new Problem("UNAUTHORIZED", detail, { headers: { "www-authenticate": challenge } })

/** RFC 6750, section 3.1. The description is one of ours, never the client's text. */
export const invalidToken = (description: string) =>
  unauthorized(description, `Bearer error="invalid_token", error_description="${description}"`)

const isTime = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value)

type Verify = ReturnType<typeof plugin>["decorator"]["jwt"]["verify"]

const plugin = (secret: string, alg: Config["ALGORITHM"]) => jwt({ name: "jwt", secret, alg })

/** RFC 6750, section 2.1. Undefined where no bearer token was sent. */
const bearerToken = (authorization: string | null) => authorization?.match(/^bearer +(\S.*)$/i)?.[1]

export const createTokens = (
  {
    ALGORITHM,
    ACCESS_TOKEN_EXPIRE_MINUTES,
  }: Pick<Config, "ALGORITHM" | "ACCESS_TOKEN_EXPIRE_MINUTES">,
  secretKey: string,
) => {
  const signer = plugin(secretKey, ALGORITHM)
  const accepted = createTokenCache<Caller>(CACHE_LIMIT)
  const refused = createTokenCache<Problem>(CACHE_LIMIT)
  const expiresIn = ACCESS_TOKEN_EXPIRE_MINUTES * 60

  const judge = async (token: string, verify: Verify, now: number): Promise<Caller | Problem> => {
    if (token.length > TOKEN_LIMIT) return invalidToken("The token is too long")
    const claims = await verify(token, {
      algorithms: [ALGORITHM],
      requiredClaims: ["exp", "sub"],
      clockTolerance: NO_TIME_CHECK,
    })
    if (!claims) return invalidToken("The token is invalid")
    const { iss, sub, exp, nbf = 0, iat = 0, jti } = claims
    if (iss !== undefined) return invalidToken("The issuer is not known")
    if (typeof sub !== "string" || !USER_ID.test(sub) || !Number.isSafeInteger(Number(sub)))
      return invalidToken("The subject is no user id")
    if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return invalidToken("The token is invalid")
    if (exp <= now) return invalidToken("The token has expired")
    if (nbf > now + LEEWAY || iat > now + LEEWAY) throw invalidToken("The token is not yet valid")
    return { userId: Number(sub), expiresAt: exp, jti: typeof jti === "string" ? jti : undefined }
  }

  return {
    /** @elysiajs/jwt, for the derive that attaches the caller. */
    signer,
    expiresIn,

    /** The caller whom an Authorization header names, or a thrown 401. */
    async authenticate(authorization: string | null, verify: Verify): Promise<Caller> {
      const token = bearerToken(authorization)
      if (token === undefined) throw unauthorized("A bearer token is required", "Bearer")
      const now = Date.now() / 1000
      const known = accepted.get(token)
      if (known && known.expiresAt > now) return known
      const refusal = refused.get(token)
      if (refusal) throw refusal
      const verdict = await judge(token, verify, now)
      if (verdict instanceof Problem) {
        refused.set(token, verdict)
        throw verdict
      }
      accepted.set(token, verdict)
      return verdict
    },

    issue: (userId: number, jti: string) =>
      signer.decorator.jwt.sign({
        sub: String(userId),
        jti,
        exp: Math.floor(Date.now() / 1000) + expiresIn,
      }),
  }
}
export type Tokens = ReturnType<typeof createTokens>
