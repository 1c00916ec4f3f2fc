/** Verifies tokens of JWT_ISSUER, and finds the users of their subjects. */
import * as jose from "jose"
import type { Logger } from "pino"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/sql.ts"
import { Problem } from "../../http/problem.ts"
import { brokenTextRule, Text } from "../../http/schema.ts"
import { invalidToken } from "../problems.ts"
import { userOfIdentity } from "../users.ts"
import { createJwks } from "./jwks.ts"

/** Only signatures by a private key: with HS*, anybody could sign by the public key. */
const ALGORITHMS = ["EdDSA", "ES256", "ES384", "PS256", "RS256"]

const subjectSchema = Text({ minLength: 1, maxLength: 255 })

/** RFC 7515, section 4.1.9: in any case, and with its first half or without. */
const LOGOUT = /^(application\/)?logout\+jwt$/i

/**
 * The issuer also signs tokens that give no access: logout tokens (OpenID Connect Back-Channel Logout
 * 1.0), and ID tokens, which tell a client who its user is.
 */
const isAccessToken = ({ protectedHeader, payload }: jose.JWTVerifyResult) =>
  !LOGOUT.test(String(protectedHeader.typ)) &&
  payload["nonce"] === undefined &&
  payload["at_hash"] === undefined

type Settings = Pick<Config, "JWT_ISSUER" | "JWKS_URL" | "JWT_AUDIENCE">

/** Undefined if no issuer is configured. */
export const createIssuer = (
  sql: Sql,
  { JWT_ISSUER, JWKS_URL, JWT_AUDIENCE }: Settings,
  log: Logger,
) => {
  if (JWT_ISSUER === undefined || JWKS_URL === undefined) return undefined
  const findKey = createJwks(JWKS_URL, log)

  const verified = async (token: string, options: jose.JWTVerifyOptions) => {
    try {
      return await jose.jwtVerify(token, findKey, options)
    } catch (error) {
      if (!(error instanceof jose.errors.JWKSMultipleMatchingKeys)) throw error
      // A token without a `kid` may be signed by any key of its type.
      for await (const key of error) {
        const result = await jose.jwtVerify(token, key, options).catch(() => undefined)
        if (result) return result
      }
      throw error
    }
  }

  return {
    /** Whether a token names this issuer. That decides which keys verify it. */
    claims(token: string): boolean {
      try {
        return jose.decodeJwt(token).iss === JWT_ISSUER
      } catch {
        return false
      }
    },

    /** The claims of a token with a valid signature. Throws a 401, or a 503 if the keys cannot be fetched. */
    async verify(token: string, options: jose.JWTVerifyOptions): Promise<jose.JWTPayload> {
      const result = await verified(token, {
        ...options,
        algorithms: ALGORITHMS,
        issuer: JWT_ISSUER,
        ...(JWT_AUDIENCE !== undefined && { audience: JWT_AUDIENCE }),
      }).catch((error: unknown) => {
        throw error instanceof Problem ? error : invalidToken("The token is invalid")
      })
      if (!isAccessToken(result)) throw invalidToken("The token is no access token")
      return result.payload
    },

    /** Of the user of a subject, who is created if there is none. */
    async userId(subject: unknown): Promise<number> {
      if (typeof subject !== "string" || brokenTextRule(subjectSchema as never, subject))
        throw invalidToken("The subject is no user id")
      return userOfIdentity(sql, JWT_ISSUER, subject)
    },
  }
}
export type Issuer = NonNullable<ReturnType<typeof createIssuer>>
