/** Logs security events: what happened to which user, from which address. Never an email or a token. */
import type { Logger } from "pino"

export type SecurityEvent =
  | "login_succeeded"
  | "login_failed"
  | "login_throttled"
  | "session_ended"
  | "session_ended_by_reuse"
  | "password_changed"
  | "password_reset_requested"
  | "password_reset"
  | "email_changed"
  | "personal_token_made"
  | "personal_token_revoked"
  | "accounts_listed"
  | "account_shown"
  | "account_disabled"
  | "account_enabled"
  | "account_deleted"
  | "invite_made"
  | "password_reset_made"

/** Logged as warnings: somebody may be trying to break in. */
const SUSPICIOUS: ReadonlySet<SecurityEvent> = new Set([
  "login_failed",
  "login_throttled",
  "session_ended_by_reuse",
])

type About = {
  /** Undefined if nobody has the email. */
  userId?: number | undefined
  address?: string | undefined
}

export const createSecurityLog =
  (log: Logger) =>
  (event: SecurityEvent, { userId, address }: About) => {
    const level = SUSPICIOUS.has(event) ? "warn" : "info"
    log[level]({ event, user_id: userId, address }, "security event")
  }
export type LogEvent = ReturnType<typeof createSecurityLog>
