/** Logs security events: what happened to which user, from which address. Never an email or a token. */
import type { Logger } from "pino"

/** Warnings: somebody may be trying to break in. */
const LEVELS = {
  login_succeeded: "info",
  login_failed: "warn",
  login_throttled: "warn",
  session_ended: "info",
  session_ended_by_reuse: "warn",
  password_changed: "info",
  password_reset_requested: "info",
  password_reset: "info",
  email_changed: "info",
  personal_token_made: "info",
  personal_token_revoked: "info",
  accounts_listed: "info",
  account_shown: "info",
  account_disabled: "info",
  account_enabled: "info",
  account_deleted: "info",
  invite_made: "info",
  password_reset_made: "info",
} as const

type About = {
  /** Undefined if nobody has the email. */
  userId?: number | undefined
  address?: string | undefined
}

export const createSecurityLog =
  (log: Logger) =>
  (event: keyof typeof LEVELS, { userId, address }: About) =>
    log[LEVELS[event]]({ event, user_id: userId, address }, "security event")
export type LogEvent = ReturnType<typeof createSecurityLog>
