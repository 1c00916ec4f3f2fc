/** Security events in the log: what happened to whom, and from where. Never an email or a token. */
import type { Logger } from "pino"

export type SecurityEvent =
  | "login_succeeded"
  | "login_failed"
  | "login_throttled"
  | "session_ended"
  | "session_ended_by_reuse"
  | "password_changed"
  | "account_deleted"

/** What an operator may want to be told of: somebody tries what they have no right to. */
const SUSPICIOUS: ReadonlySet<SecurityEvent> = new Set([
  "login_failed",
  "login_throttled",
  "session_ended_by_reuse",
])

type About = {
  /** Undefined where nobody has the email. */
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
