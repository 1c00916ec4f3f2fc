/** What app.ts makes once for all features of accounts. */
import type { Limiter } from "../concurrency/limiter.ts"
import type { Config } from "../config/config.ts"
import type { Sql } from "../database/sql.ts"
import type { ClientOf } from "../http/client-address.ts"
import type { RateLimits } from "./rate-limits.ts"
import type { LogEvent } from "./security-log.ts"
import type { Tokens } from "./tokens/authenticate.ts"
import type { SessionTokens } from "./tokens/session-tokens.ts"

/** Seconds. */
export type Lifetimes = {
  /** Of a refresh token, from when it is issued. */
  refresh: number
  /** Of an access token. */
  access: number
  /** Of a session, from its login, even if it is refreshed. */
  session: number
}

export type Accounts = {
  sql: Sql
  tokens: Tokens
  sessionTokens: SessionTokens
  lifetimes: Lifetimes
  limits: RateLimits
  /** Slots for hashing, by address. */
  hashing: Limiter<string>
  logEvent: LogEvent
  /** Whether this service sends mails. */
  hasMail: boolean
  registrationMode: Config["REGISTRATION"]
  clientOf: ClientOf
}
