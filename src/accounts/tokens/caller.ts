/** Who a request is made by, and what has to hold for the same token to be let in again. */
import type { Scope } from "../../http/signed-in.ts"

export type Caller = {
  userId: number
  /** The session that the token belongs to, if it is one of ours. */
  sessionId: string | undefined
  /** The key under which the token itself is revoked. */
  tokenKey: string
  /** Seconds since the epoch; infinity for a personal token that does not expire. */
  expiresAt: number
  /** All that a personal token is good for. Any other stands for its user. */
  scopes?: Scope[]
  /** The keys of revocations that concern the token: its user's, its session's, its own. */
  watched: string[]
  /** By performance.now(): when the database was asked about them. */
  judgedAt: number
}

/** A caller whose token was found good. */
export type Accepted = Caller & {
  /** To be called for each request. */
  used?: () => void
}
