/** The expired rows that todos delete. */
import type { Sql } from "../database/connect.ts"
import type { DeleteExpired } from "../database/expiry.ts"
import { deleteExpiredTombstones } from "./changes/queries.ts"
import { deleteExpiredKeys } from "./idempotency.ts"

export const expiryOfTodos = (sql: Sql): DeleteExpired[] => [
  (limit) => deleteExpiredKeys(sql, limit),
  (limit) => deleteExpiredTombstones(sql, limit),
]
