/**
 * Knows what was revoked on any instance, without a statement for every request. New revocations are
 * polled, because notifications do not pass a pooler in transaction mode.
 */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/sql.ts"

const POLL_MS = 1_000
/** Less than the 5 s after which a revocation must hold everywhere. */
const TRUSTED_MS = 4_000
/** Without a request for this long, nothing is polled, so that a database that scales to zero can. */
const IDLE_MS = 10_000

/** When the revocation of a key became known here. The transaction is known only from polls. */
type Revocation = { learnedAt: number; transactionId: string | undefined }
type Revoked = { key: string; transaction_id: string }

/** They are remembered for as long as a verification is relied on. */
export const createRevocations = (sql: Sql, log: Logger, rememberedMs: number) => {
  /** In the order in which they were learned. */
  const recent = new Map<string, Revocation>()
  /** Of the last poll. Null: from now on. */
  let horizon: string | null = null
  let polledAt = Number.NEGATIVE_INFINITY
  let usedAt = Number.NEGATIVE_INFINITY
  let underWay: Promise<void> | undefined

  const learn = (key: string, transactionId?: string) => {
    recent.delete(key)
    recent.set(key, { learnedAt: performance.now(), transactionId })
  }

  const forgetBefore = (time: number) => {
    for (const [key, { learnedAt }] of recent) {
      if (learnedAt > time) return
      recent.delete(key)
    }
  }

  const pollNow = async () => {
    const startedAt = performance.now()
    // Rows that are not visible yet belong to transactions at or after the horizon. `least` helps after a
    // restore into another cluster, which may count its transactions from a lower number.
    const [found] = await sql<[{ horizon: string; revoked: Revoked[] }]>`
      select
        pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
        coalesce(
          json_agg(json_build_object('key', key, 'transaction_id', transaction_id::text)),
          '[]'
        ) as revoked
      from revocations
      where transaction_id >= least(${horizon}::text::xid8, pg_snapshot_xmin(pg_current_snapshot()))`
    // While an older transaction is open, each poll finds the same rows again.
    for (const { key, transaction_id } of found.revoked)
      if (recent.get(key)?.transactionId !== transaction_id) learn(key, transaction_id)
    forgetBefore(startedAt - rememberedMs)
    horizon = found.horizon
    polledAt = startedAt
  }

  /** Concurrent calls share one statement. */
  const poll = () => {
    underWay ??= pollNow().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  const isTrusted = (verifiedAt: number) =>
    Math.max(verifiedAt, polledAt) > performance.now() - TRUSTED_MS

  /** Has to be called before a verification is relied on: polling pauses while there are no requests. */
  const use = () => {
    usedAt = performance.now()
  }

  return {
    use,
    /** Whether one of the keys was learned since a verification at that time (performance.now). */
    changedSince: (verifiedAt: number, keys: string[]) =>
      recent.size > 0 && keys.some((key) => (recent.get(key)?.learnedAt ?? -1) >= verifiedAt),
    add(keys: string[]) {
      for (const key of keys) learn(key)
    },
    /** Whether revocations since that time (performance.now) would be known here by now. */
    isTrusted,
    /** Polls, unless the last poll is trusted. */
    async catchUp() {
      if (!isTrusted(Number.NEGATIVE_INFINITY)) await poll()
    },
    /** Resolves when polling has begun, to the function that stops it. */
    async start() {
      await poll()
      return repeat({
        name: "reading revocations",
        everyMs: POLL_MS,
        log,
        work: async () => {
          if (usedAt > performance.now() - IDLE_MS) await poll()
        },
      })
    },
  }
}
