/**
 * Issues access tokens, and finds the caller of a bearer token. Verifications are cached: what was verified
 * within five minutes is verified anew only if a revocation concerns it, or if revocations cannot be read.
 */
import { randomUUID } from "node:crypto"
import type { Logger } from "pino"
import { createCache } from "../../concurrency/cache.ts"
import { repeat } from "../../concurrency/repeat.ts"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/sql.ts"
import type { AnyCaller, Authenticate } from "../../http/guard.ts"
import { Problem } from "../../http/problem.ts"
import type { Secrets } from "../../keys.ts"
import { missingToken } from "../problems.ts"
import { createIssuer } from "./federated-issuer.ts"
import { createJwt, type Verification } from "./jwt.ts"
import { isPersonal, verifyPersonalToken } from "./personal-access-token.ts"
import { touch } from "./queries.ts"
import { createRevocations } from "./revocations.ts"

const VALID_LIMIT = 10_000
/** Fewer, because anybody can send bad tokens. */
const REFUSED_LIMIT = 1_000
/** Tokens by a key that its issuer has withdrawn are not accepted for longer. */
const CACHED_MS = 5 * 60_000

/** RFC 6750, section 2.1. */
const BEARER = /^bearer +(\S.*)$/i

export type Caller = Verification & Pick<AnyCaller, "isStillValid">

type Settings = Pick<
  Config,
  "ALGORITHM" | "ACCESS_TOKEN_EXPIRE_MINUTES" | "JWT_ISSUER" | "JWKS_URL" | "JWT_AUDIENCE"
>

export const createTokens = (
  config: Settings,
  secrets: Secrets,
  { sql, log }: { sql: Sql; log: Logger },
) => {
  const jwt = createJwt({ sql, issuer: createIssuer(sql, config, log) }, secrets, config.ALGORITHM)
  const valid = createCache<Caller>(VALID_LIMIT)
  const refused = createCache<Problem>(REFUSED_LIMIT)
  const lastUses = createLastUses(sql, log)
  const revocations = createRevocations(sql, log, CACHED_MS)
  const expiresIn = config.ACCESS_TOKEN_EXPIRE_MINUTES * 60

  const isCurrent = ({ expiresAt, verifiedAt, revocationKeys }: Verification) =>
    expiresAt > Date.now() / 1000 &&
    verifiedAt > performance.now() - CACHED_MS &&
    revocations.isTrusted(verifiedAt) &&
    !revocations.changedSince(verifiedAt, revocationKeys)

  const verify = async (token: string): Promise<Caller> => {
    const refusal = refused.get(token)
    if (refusal) throw refusal
    for (;;) {
      const found = await (isPersonal(token) ? verifyPersonalToken(sql, token) : jwt.verify(token))
      if (found instanceof Problem) {
        refused.set(token, found)
        throw found
      }
      // A revocation may have come in between: the next statement sees it.
      if (revocations.changedSince(found.verifiedAt, found.revocationKeys)) continue
      const caller = { ...found, isStillValid: validityOf(token, found) }
      valid.set(token, caller)
      return caller
    }
  }

  /** Throws a 401 if the token is not valid. */
  const callerOf = (token: string): Caller | Promise<Caller> => {
    revocations.use()
    const known = valid.get(token)
    return known && isCurrent(known) ? known : verify(token)
  }

  /** Answers from memory, if possible: thousands of streams ask every second. */
  const validityOf = (token: string, first: Verification) => {
    let latest = first

    const askAgain = async () => {
      try {
        await revocations.catchUp()
        if (!isCurrent(latest)) latest = await callerOf(token)
        return true
      } catch (error) {
        const isRefused = error instanceof Problem && error.status === 401
        // If the database is away, whatever needs it fails by itself; but what is known to be revoked is.
        return !isRefused && !revocations.changedSince(latest.verifiedAt, latest.revocationKeys)
      }
    }

    return () => {
      if (latest.expiresAt <= Date.now() / 1000) return false
      revocations.use()
      return isCurrent(latest) || askAgain()
    }
  }

  return {
    expiresIn,

    /** The caller whom an Authorization header names. Throws a 401 if it names none. */
    async authenticate(authorization: string | null): Promise<Caller> {
      const token = authorization?.match(BEARER)?.[1]
      if (token === undefined) throw missingToken()
      const found = callerOf(token)
      // Most are known: to await them would take as long again.
      const caller = found instanceof Promise ? await found : found
      lastUses.note(caller)
      return caller
    },

    /** With exactly these claims: sub, iat, exp, jti. */
    issue: (userId: number, sessionId: string, seconds: number) =>
      jwt.sign({
        sub: String(userId),
        jti: `${sessionId}.${randomUUID()}`,
        exp: Math.floor(Date.now() / 1000) + seconds,
      }),

    /** Makes this instance verify the tokens with these keys again, at once. */
    revoke: revocations.add,
    /** Resolves when revocations of other instances are polled, to the function that stops it. */
    pollRevocations: revocations.start,
    lastUses,
  }
}
export type Tokens = Omit<ReturnType<typeof createTokens>, "authenticate"> & {
  authenticate: Authenticate<Caller>
}

const FLUSH_MS = 60_000
/** Sessions and tokens a minute. For more than these a later request has to do. */
const USES_LIMIT = 10_000
const TABLES = ["sessions", "personal_tokens"] as const
type Table = (typeof TABLES)[number]

/** Notes when sessions and personal tokens are used, in memory, and writes it once a minute. */
const createLastUses = (sql: Sql, log: Logger) => {
  const used: Record<Table, Set<string>> = { sessions: new Set(), personal_tokens: new Set() }

  const add = (ids: Set<string>, id: string | undefined) => {
    if (id !== undefined && ids.size < USES_LIMIT) ids.add(id)
  }

  const flush = async (tables: readonly Table[] = TABLES) => {
    for (const table of tables) {
      const ids = [...used[table]]
      used[table].clear()
      // An idle service asks its database for nothing.
      if (ids.length > 0) await touch(sql, table, ids)
    }
  }

  return {
    note({ sessionId, personalTokenId }: Verification) {
      add(used.sessions, sessionId)
      add(used.personal_tokens, personalTokenId)
    },
    /** Returns the function that stops it. */
    start: () =>
      repeat({
        name: "writing when sessions and tokens were used",
        everyMs: FLUSH_MS,
        log,
        work: () => flush(),
      }),
    /** Writes what was noted so far, unless the database is away or read-only. */
    flush: (tables?: readonly Table[]) => flush(tables).catch(() => {}),
  }
}
