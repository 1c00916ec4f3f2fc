/** The caller of a request, and what decides whether the same token is accepted again. */
import type { AnyCaller, Scope } from "../../http/guard.ts"

/** What was found out about a token that is valid. */
export type Verified = {
  userId: number
  /** The session that the token belongs to, if it is one of ours. */
  sessionId: string | undefined
  /** The key under which the token itself is revoked. */
  tokenKey: string
  /** Seconds since the epoch; infinity for a personal token that does not expire. */
  expiresAt: number
  /** What a personal token allows. Other tokens allow everything that their user may do. */
  scopes?: Scope[]
  /** The keys of revocations that concern the token: its user's, its session's, its own. */
  watched: string[]
  /** When the database was asked about them, by performance.now(). */
  judgedAt: number
  /** To be called for each request. */
  used?: () => void
}

export type Caller = Verified & Pick<AnyCaller, "isStillValid">
