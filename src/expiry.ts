/** Deletes what expired: any instance, a batch at a time. */
import type { Logger } from "pino"
import { deleteExpired } from "./accounts/sessions/queries.ts"
import { repeat } from "./background.ts"
import type { Sql } from "./database/connection.ts"
import { deleteExpiredKeys } from "./todos/queries.ts"

const EVERY_MS = 10 * 60_000
/** Rows: few enough that no lock is held for long. */
const BATCH = 1_000

/** Returns the function that ends it. */
export const startCleanUp = (sql: Sql, log: Logger) =>
  repeat({
    name: "cleaning up",
    everyMs: EVERY_MS,
    log,
    work: async () => {
      while ((await deleteExpired(sql, BATCH)) > 0);
      while ((await deleteExpiredKeys(sql, BATCH)) > 0);
    },
  })
