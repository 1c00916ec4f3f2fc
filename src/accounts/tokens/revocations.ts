/**
 * What was revoked, on this instance or any other, known without asking for every request: what is
 * new is polled, because notifications do not pass a pooler in transaction mode.
 */
import type { Logger } from "pino"
import type { Sql } from "../../database/connection.ts"
import { repeat } from "../../jobs/repeat.ts"
import { revokedSince } from "./queries.ts"

const POLL_MS = 1_000
/** A poll that hangs is given up, and the next one may find a better connection. */
const POLL_TIMEOUT_MS = 3_000
/** Below the 5 s within which a revocation holds everywhere. */
const TRUSTED_MS = 4_000
/** Longer than it takes to finish judging a token that was begun before the revocation. */
const REMEMBERED_MS = 60_000

const inTime = async <T>(answer: Promise<T>): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error("The database did not answer")), POLL_TIMEOUT_MS)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** What is known of a key: when it was learned here, and by which transaction, which a poll tells. */
type News = { learnedAt: number; transactionId: string | undefined }

/** `sweep` is to forget every verdict that `changedSince` says is overtaken. */
export const createRevocations = (sql: Sql, log: Logger, sweep: () => void) => {
  /** The last learned are the last. */
  const recent = new Map<string, News>()
  let horizon: string | null = null
  let polledAt = Number.NEGATIVE_INFINITY
  let isSwept = true

  const learn = (key: string, transactionId?: string) => {
    recent.delete(key)
    recent.set(key, { learnedAt: performance.now(), transactionId })
    isSwept = false
  }

  /** The same rows are found again as long as an older transaction is open. */
  const learnPolled = (key: string, transactionId: string) => {
    if (recent.get(key)?.transactionId !== transactionId) learn(key, transactionId)
  }

  const forgetSwept = (now: number) => {
    if (!isSwept) sweep()
    isSwept = true
    for (const [key, { learnedAt }] of recent) {
      if (learnedAt > now - REMEMBERED_MS) break
      recent.delete(key)
    }
  }

  const poll = async () => {
    const startedAt = performance.now()
    const found = await inTime(revokedSince(sql, horizon))
    for (const { key, transaction_id } of found.revoked) learnPolled(key, transaction_id)
    forgetSwept(startedAt)
    horizon = found.horizon
    polledAt = startedAt
  }

  return {
    /** Whether a verdict of that time (performance.now) may be another by what was learned of a key. */
    changedSince: (judgedAt: number, keys: string[]) =>
      recent.size > 0 && keys.some((key) => (recent.get(key)?.learnedAt ?? -1) >= judgedAt),
    add(keys: string[]) {
      for (const key of keys) learn(key)
    },
    /** Whether a verdict of that time (performance.now) would have been overtaken by now. */
    isTrusted: (judgedAt: number) => Math.max(judgedAt, polledAt) > performance.now() - TRUSTED_MS,
    /** Resolves once revocations are followed, to the function that ends that. */
    async follow() {
      await poll()
      return repeat({ name: "reading revocations", everyMs: POLL_MS, log, work: poll })
    },
  }
}
