/** Access tokens: signing ours, and judging whatever a client sends as a bearer token. */
import { randomUUID } from "node:crypto"
import type { JWTVerifyOptions } from "jose"
import type { Logger } from "pino"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/connection.ts"
import { Problem } from "../../errors.ts"
import type { Authenticate, Scope } from "../../http/signed-in.ts"
import type { Secrets } from "../../keys/mac.ts"
import { createCache } from "../cache.ts"
import { disabledUser, invalidToken, missingToken, revokedToken } from "../problems.ts"
import { changedKey, sessionKey, tokenKey, userKey } from "../revocation-keys.ts"
import { createIssuer } from "./issuers.ts"
import { isPersonal, judgePersonalToken } from "./personal.ts"
import { reserveUnlessRevoked } from "./queries.ts"
import { createRevocations } from "./revocations.ts"
import { createSignature } from "./signature.ts"

/** Who a request is made by. */
export type Caller = {
  userId: number
  /** The session that the token is of, if it is one of ours. */
  sessionId: string | undefined
  /** What the token is called where it is itself revoked. */
  tokenKey: string
  /** Seconds since the epoch; infinity for a personal token that does not expire. */
  expiresAt: number
  /** All that a personal token is good for. Any other stands for its user. */
  scopes?: Scope[]
  /** What tells that the token may have been revoked: its user, its session, or itself. */
  watched: string[]
  /** By performance.now(): when the database was asked about them. */
  judgedAt: number
}

/** A caller who was let in before. */
type Accepted = Caller & {
  /** To be called for each request. */
  used?: () => void
}

/** Seconds of clock difference that `iat` and `nbf` may have. `exp` gets none. */
const LEEWAY = 5
/** Characters. All headers together may have 16 KiB, and what is kept is kept many times. */
const TOKEN_LIMIT = 8_192
const ACCEPTED_LIMIT = 10_000
/** Fewer: anybody can send a token that is refused. */
const REFUSED_LIMIT = 1_000
/** So that a key that its issuer withdrew is not trusted for as long as its tokens last. */
const ACCEPTED_MS = 5 * 60_000
/** A verdict that took longer may have been overtaken by a revocation that is forgotten by now. */
const JUDGING_MS = 30_000

/** A decimal user id. RFC 7519, section 4.1.2 makes `sub` a string. */
const USER_ID = /^[1-9][0-9]{0,15}$/
/** How our own `jti` begins. Another system's has any shape. */
const SESSION_ID = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\./
/** RFC 6750, section 2.1. */
const BEARER = /^bearer +(\S.*)$/i

/** Makes jose judge the signature alone: it would not say whether a token is expired or wrong. */
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

/** RFC 7515, section 2: jose takes padding, white space and spare bits too, which nobody signed. */
const isBase64url = (text: string) => Buffer.from(text, "base64url").toString("base64url") === text

type Settings = Pick<
  Config,
  "ALGORITHM" | "ACCESS_TOKEN_EXPIRE_MINUTES" | "JWT_ISSUER" | "JWKS_URL" | "JWT_AUDIENCE"
>

type Deps = {
  sql: Sql
  log: Logger
  /** Is told of every request by a token of a session. */
  noteUse: (sessionId: string, userId: number) => void
}

export const createTokens = (config: Settings, secrets: Secrets, { sql, log, noteUse }: Deps) => {
  const { sign, verify } = createSignature(secrets, config.ALGORITHM)
  const issuer = createIssuer(sql, config, log)
  const accepted = createCache<Accepted>(ACCEPTED_LIMIT)
  const refused = createCache<Problem>(REFUSED_LIMIT)
  const revocations = createRevocations(sql, log, () =>
    accepted.deleteWhere(({ judgedAt, watched }) => revocations.changedSince(judgedAt, watched)),
  )
  const expiresIn = config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

  const isStillGood = ({ expiresAt, judgedAt, watched }: Accepted) =>
    expiresAt > Date.now() / 1000 &&
    judgedAt > performance.now() - ACCEPTED_MS &&
    revocations.isTrusted(judgedAt) &&
    !revocations.changedSince(judgedAt, watched)

  const used = (caller: Accepted): Caller => {
    if (caller.sessionId !== undefined) noteUse(caller.sessionId, caller.userId)
    caller.used?.()
    return caller
  }

  const judgePersonal = async (token: string): Promise<Accepted | Problem> => {
    for (;;) {
      const verdict = await judgePersonalToken(sql, token, log)
      if (verdict instanceof Problem) return verdict
      if (!revocations.changedSince(verdict.judgedAt, verdict.watched)) return verdict
    }
  }

  /** A refusal that is returned is final; one that is thrown may be an acceptance later. */
  const judge = async (token: string): Promise<Accepted | Problem> => {
    if (token.length > TOKEN_LIMIT) throw invalidToken("The token is too long")
    if (isPersonal(token)) return judgePersonal(token)
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
    const sessionId = isOurs ? SESSION_ID.exec(jti)?.[1] : undefined
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
      // Overtaken by a revocation, which the next statement sees.
    } while (revocations.changedSince(judgedAt, watched))
    if (isDisabled) throw disabledUser()
    return { userId, sessionId, tokenKey: ownKey, expiresAt: exp, watched, judgedAt }
  }

  /** The caller whom an Authorization header names, or a thrown 401. */
  const authenticate = async (authorization: string | null): Promise<Caller> => {
    const token = authorization?.match(BEARER)?.[1]
    if (token === undefined) throw missingToken()
    const known = accepted.get(token)
    if (known && isStillGood(known)) return used(known)
    const refusal = refused.get(token)
    if (refusal) throw refusal
    const verdict = await judge(token)
    if (verdict instanceof Problem) {
      refused.set(token, verdict)
      throw verdict
    }
    if (verdict.judgedAt > performance.now() - JUDGING_MS) accepted.set(token, verdict)
    return used(verdict)
  }

  return {
    expiresIn,

    authenticate,

    /** Claims of exactly these names: sub, iat, exp, jti. */
    issue: (userId: number, sessionId: string, seconds: number) =>
      sign({
        sub: String(userId),
        jti: `${sessionId}.${randomUUID()}`,
        exp: Math.floor(Date.now() / 1000) + seconds,
      }),

    /**
     * Whether a token that was let in is still good, for answers that take long. Known at once,
     * unless something about it has changed: then it is judged again.
     */
    remainsGood(
      { expiresAt, judgedAt, watched }: Caller,
      authorization: string | null,
    ): boolean | Promise<boolean> {
      if (expiresAt <= Date.now() / 1000) return false
      if (!revocations.changedSince(judgedAt, watched)) return true
      return authenticate(authorization).then(
        () => true,
        (error: unknown) => !(error instanceof Problem && error.status === 401),
      )
    },

    /** Makes this instance ask the database at once about what it has let in by these keys. */
    revoke: revocations.add,
    /** Resolves once what is revoked elsewhere is refused here too, to the function that ends that. */
    followRevocations: revocations.follow,
  }
}
export type Tokens = Omit<ReturnType<typeof createTokens>, "authenticate"> & {
  authenticate: Authenticate<Caller>
}
