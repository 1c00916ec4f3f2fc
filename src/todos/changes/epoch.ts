/**
 * After a failover that may have lost commits: clients may have seen them, and the revisions that
 * they made are given out again. So earlier sync tokens are refused, and each replica begins anew.
 */
import type { Sql } from "../../database/sql.ts"
import type { Log } from "../../log.ts"
import { renewEpoch } from "./queries.ts"

const RETRY_MS = 1_000

export const createLostCommits = (sql: Sql, log: Log) => {
  let retry: NodeJS.Timeout | undefined

  const renew = async (name: string, isFirst: boolean) => {
    try {
      await renewEpoch(sql, name)
    } catch (err) {
      if (isFirst)
        log.warn({ err }, "refusing sync tokens of lost commits failed, and will be tried again")
      retry = setTimeout(renew, RETRY_MS, name, false)
    }
  }

  return {
    /** `name`: of the promotion. A further one is reason enough to give up on this one. */
    after(name: string) {
      clearTimeout(retry)
      void renew(name, true)
    },
    stop: () => clearTimeout(retry),
  }
}
