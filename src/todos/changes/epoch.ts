/**
 * After a failover that may have lost commits: clients may have seen them, and the revisions that
 * they made are given out again. So the states from before are refused, and each copy begins anew.
 */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/connect.ts"
import { renewEpoch } from "./queries.ts"

const EVERY_MS = 1_000

export const createLostCommits = (sql: Sql) => {
  /** A name for the failover, until the states are refused. */
  let failover: string | undefined
  const refuseStates = async () => {
    const name = failover
    if (name === undefined) return
    await renewEpoch(sql, name)
    if (failover === name) failover = undefined
  }
  return {
    after(name: string) {
      failover = name
    },
    /** Returns the function that stops it. */
    follow: (log: Logger) =>
      repeat({
        name: "refusing states of lost commits",
        everyMs: EVERY_MS,
        log,
        work: refuseStates,
      }),
  }
}
