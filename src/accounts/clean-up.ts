/** Deletes what expired: any instance, a batch at a time. */
import type { Logger } from "pino"
import { repeat } from "../database/background.ts"
import type { Sql } from "../database/connection.ts"
import { deleteExpired } from "./session-queries.ts"

const EVERY_MS = 10 * 60_000

/** Returns the function that ends it. */
export const startCleanUp = (sql: Sql, log: Logger) =>
  repeat({
    name: "cleaning up",
    everyMs: EVERY_MS,
    log,
    work: async () => {
      while ((await deleteExpired(sql)) > 0);
    },
  })
