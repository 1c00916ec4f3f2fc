/** Issues access tokens and authenticates bearer tokens. Verdicts are cached. */
import { randomUUID } from "node:crypto"
import type { Logger } from "pino"
import { createCache } from "../../concurrency/cache.ts"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/connect.ts"
import type { Authenticate } from "../../http/guard.ts"
import { Problem } from "../../http/problem.ts"
import type { Secrets } from "../../keys/mac.ts"
import { missingToken } from "../problems.ts"
import type { Caller, Verified } from "./caller.ts"
import { createIssuer } from "./federated-issuer.ts"
import { createJudge } from "./jwt.ts"
import { createRevocations } from "./revocations.ts"
import { createSignature } from "./signature.ts"

const ACCEPTED_LIMIT = 10_000
/** Fewer, because anybody can send bad tokens. */
const REFUSED_LIMIT = 1_000
/** Tokens by a key that its issuer has withdrawn are not accepted for longer. */
const ACCEPTED_MS = 5 * 60_000
/** A verdict that took longer is not cached: a revocation since may be forgotten already. */
const JUDGING_MS = 30_000

/** RFC 6750, section 2.1. */
const BEARER = /^bearer +(\S.*)$/i

type Settings = Pick<
  Config,
  "ALGORITHM" | "ACCESS_TOKEN_EXPIRE_MINUTES" | "JWT_ISSUER" | "JWKS_URL" | "JWT_AUDIENCE"
>

type Deps = {
  sql: Sql
  log: Logger
  /** Called for every request with a token of a session. */
  noteUse: (sessionId: string, userId: number) => void
}

export const createTokens = (config: Settings, secrets: Secrets, { sql, log, noteUse }: Deps) => {
  const { sign, verify } = createSignature(secrets, config.ALGORITHM)
  const accepted = createCache<Caller>(ACCEPTED_LIMIT)
  const refused = createCache<Problem>(REFUSED_LIMIT)
  const revocations = createRevocations(sql, log, () =>
    accepted.deleteWhere(({ judgedAt, watched }) => revocations.changedSince(judgedAt, watched)),
  )
  const judge = createJudge({
    sql,
    log,
    verify,
    issuer: createIssuer(sql, config, log),
    changedSince: revocations.changedSince,
  })
  const expiresIn = config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

  const isCurrent = ({ expiresAt, judgedAt, watched }: Verified) =>
    expiresAt > Date.now() / 1000 &&
    judgedAt > performance.now() - ACCEPTED_MS &&
    revocations.isTrusted(judgedAt) &&
    !revocations.changedSince(judgedAt, watched)

  const used = (caller: Caller): Caller => {
    if (caller.sessionId !== undefined) noteUse(caller.sessionId, caller.userId)
    caller.used?.()
    return caller
  }

  /** Throws a 401 if the token is not valid. */
  const verified = async (token: string): Promise<Caller> => {
    revocations.use()
    const known = accepted.get(token)
    if (known && isCurrent(known)) return known
    const refusal = refused.get(token)
    if (refusal) throw refusal
    const verdict = await judge(token)
    if (verdict instanceof Problem) {
      refused.set(token, verdict)
      throw verdict
    }
    const caller = { ...verdict, isStillValid: validityOf(token, verdict) }
    if (verdict.judgedAt > performance.now() - JUDGING_MS) accepted.set(token, caller)
    return caller
  }

  /** Answers from memory, if possible: thousands of streams ask every second. */
  const validityOf = (token: string, first: Verified) => {
    let latest = first
    /** When it was valid by all that was known. */
    let validAt = first.judgedAt

    const isUnchanged = () => {
      if (!revocations.remembersSince(validAt) || !isCurrent(latest)) return false
      validAt = performance.now()
      return true
    }

    const askAgain = async () => {
      try {
        await revocations.catchUp()
        if (isUnchanged()) return true
        latest = await verified(token)
        validAt = latest.judgedAt
        return true
      } catch (error) {
        // If the database is away, whatever needs it fails by itself.
        return !(error instanceof Problem && error.status === 401)
      }
    }

    return () => {
      if (latest.expiresAt <= Date.now() / 1000) return false
      revocations.use()
      return isUnchanged() || askAgain()
    }
  }

  /** The caller whom an Authorization header names. Throws a 401 if it names none. */
  const authenticate = async (authorization: string | null): Promise<Caller> => {
    const token = authorization?.match(BEARER)?.[1]
    if (token === undefined) throw missingToken()
    return used(await verified(token))
  }

  return {
    expiresIn,

    authenticate,

    /** With exactly these claims: sub, iat, exp, jti. */
    issue: (userId: number, sessionId: string, seconds: number) =>
      sign({
        sub: String(userId),
        jti: `${sessionId}.${randomUUID()}`,
        exp: Math.floor(Date.now() / 1000) + seconds,
      }),

    /** Makes this instance judge the tokens with these keys again, at once. */
    revoke: revocations.add,
    /** Resolves when revocations of other instances are followed, to the function that stops it. */
    followRevocations: revocations.follow,
  }
}
export type Tokens = Omit<ReturnType<typeof createTokens>, "authenticate"> & {
  authenticate: Authenticate<Caller>
}
