/** Deletes expired rows in batches. All instances do it. */
import type { Logger } from "pino"
import { repeat } from "./repeat.ts"

const EVERY_MS = 10 * 60_000
/** Rows. Few enough that no lock is held for long. */
const BATCH = 1_000

/** Deletes at most `limit` rows and returns how many. */
export type DeleteExpired = (limit: number) => Promise<number>

/** Returns the function that stops it. */
export const startExpiry = (deletions: DeleteExpired[], log: Logger) =>
  repeat({
    name: "deleting what has expired",
    everyMs: EVERY_MS,
    log,
    work: async () => {
      for (const deleteExpired of deletions) while ((await deleteExpired(BATCH)) > 0);
    },
  })
