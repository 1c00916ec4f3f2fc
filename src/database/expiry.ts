/** Deletes expired rows in batches. All instances do it. */
import type { Logger } from "pino"
import { repeat } from "../concurrency/repeat.ts"

const EVERY_MS = 10 * 60_000
/** Rows. Few enough that no lock is held for long. */
const BATCH = 1_000

/** Deletes at most `limit` rows and returns how many. */
export type DeleteExpired = (limit: number) => Promise<number>

/**
 * Skips a run if this instance has asked the database nothing (`statements`: how often, so far) since the
 * run before: a database that scales to zero is not woken up. Returns the function that stops it.
 */
export const startExpiry = (deletions: DeleteExpired[], log: Logger, statements: () => number) => {
  let before = -1
  return repeat({
    name: "deleting what has expired",
    everyMs: EVERY_MS,
    log,
    work: async (isStopping) => {
      if (statements() === before) return
      for (const deleteExpired of deletions)
        while (!isStopping() && (await deleteExpired(BATCH)) > 0);
      before = statements()
    },
  })
}
