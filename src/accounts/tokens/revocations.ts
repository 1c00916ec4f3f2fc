/**
 * What was revoked, on this instance or any other, known without asking for every request: what is
 * new is polled, because notifications do not pass a pooler in transaction mode.
 */
import type { Logger } from "pino"
import { repeat } from "../../background.ts"
import type { Sql } from "../../database/connection.ts"
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

/** `sweep` is to forget every verdict that `has` knows better. */
export const createRevocations = (sql: Sql, log: Logger, sweep: () => void) => {
  const recent = new Map<string, number>()
  let horizon: string | null = null
  let polledAt = Number.NEGATIVE_INFINITY
  let isSwept = true

  const add = (keys: string[]) => {
    for (const key of keys) if (!recent.has(key)) recent.set(key, performance.now())
    if (keys.length > 0) isSwept = false
  }

  const forgetSwept = (now: number) => {
    if (!isSwept) sweep()
    isSwept = true
    for (const [key, learnedAt] of recent) {
      if (learnedAt > now - REMEMBERED_MS) break
      recent.delete(key)
    }
  }

  const poll = async () => {
    const startedAt = performance.now()
    const found = await inTime(revokedSince(sql, horizon))
    add(found.keys)
    forgetSwept(startedAt)
    horizon = found.horizon
    polledAt = startedAt
  }

  return {
    /** Whether one of the keys was revoked lately. What was revoked before is in no cache. */
    has: (keys: string[]) => recent.size > 0 && keys.some((key) => recent.has(key)),
    add,
    /** Whether a verdict of that time (performance.now) would have been overtaken by now. */
    isTrusted: (judgedAt: number) => Math.max(judgedAt, polledAt) > performance.now() - TRUSTED_MS,
    /** Resolves once revocations are followed, to the function that ends that. */
    async follow() {
      await poll()
      return repeat({ name: "reading revocations", everyMs: POLL_MS, log, work: poll })
    },
  }
}
