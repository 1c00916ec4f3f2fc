/** The expired rows that todos delete. */
import type { Sql } from "../database/connection.ts"
import type { DeleteExpired } from "../jobs/expiry.ts"
import { deleteExpiredKeys } from "./keys/queries.ts"
import { deleteExpiredTombstones } from "./sync/expiry/queries.ts"

export const expiryOfTodos = (sql: Sql): DeleteExpired[] => [
  (limit) => deleteExpiredKeys(sql, limit),
  (limit) => deleteExpiredTombstones(sql, limit),
]
