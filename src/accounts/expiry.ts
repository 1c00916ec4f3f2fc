/** The expired rows that accounts delete. */
import type { Sql } from "../database/connect.ts"
import type { DeleteExpired } from "../database/expiry.ts"
import { deleteExpiredMails } from "./mail.ts"
import { deleteExpiredPasswordResets } from "./password-resets/queries.ts"
import { deleteExpiredPersonalTokens } from "./personal-access-tokens/queries.ts"
import { deleteExpiredInvites } from "./registration-queries.ts"
import { deleteExpiredSessions } from "./sessions/queries.ts"
import { deleteExpiredKnownAddresses, deleteExpiredThrottles } from "./throttle/queries.ts"
import { deleteExpiredRevocations } from "./tokens/queries.ts"

export const expiryOfAccounts = (sql: Sql): DeleteExpired[] => [
  (limit) => deleteExpiredSessions(sql, limit),
  (limit) => deleteExpiredPersonalTokens(sql, limit),
  (limit) => deleteExpiredRevocations(sql, limit),
  (limit) => deleteExpiredThrottles(sql, limit),
  (limit) => deleteExpiredKnownAddresses(sql, limit),
  (limit) => deleteExpiredInvites(sql, limit),
  (limit) => deleteExpiredPasswordResets(sql, limit),
  (limit) => deleteExpiredMails(sql, limit),
]
