/** Waits for a database that is not up yet: it starts beside us, or wakes when it is asked. */
import type { Logger } from "pino"
import postgres from "postgres"
import { connectionOptions } from "./connection.ts"
import { isAway } from "./errors.ts"
import { CONNECT_LIMIT_SECONDS } from "./pool.ts"

const POLL_MS = 250

const knock = async (url: string) => {
  const sql = postgres({
    ...connectionOptions(url),
    max: 1,
    connect_timeout: CONNECT_LIMIT_SECONDS,
    fetch_types: false,
    prepare: false,
  })
  try {
    await sql`select 1`
  } finally {
    await sql.end({ timeout: 0 })
  }
}

/** Rejects with the last error after `seconds`, and at once with one that waiting does not mend. */
export const awaitDatabase = async (url: string, seconds: number, log: Logger): Promise<void> => {
  const deadline = performance.now() + seconds * 1_000
  for (let attempt = 1; ; attempt++) {
    try {
      await knock(url)
      if (attempt > 1) log.info({ attempt }, "the database is there")
      return
    } catch (error) {
      if (!isAway(error) || performance.now() + POLL_MS > deadline) throw error
      if (attempt === 1) log.warn({ err: error, seconds }, "waiting for the database")
      await Bun.sleep(POLL_MS)
    }
  }
}
