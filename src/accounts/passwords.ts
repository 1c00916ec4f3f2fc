/** An attempt at a password: counted before it is verified, queued, and logged if it fails. */

import type { Sql } from "../database/connect.ts"
import { Problem } from "../http/problem.ts"
import type { Client } from "./client.ts"
import { withHashSlot } from "./hash-queue.ts"
import { verifyPassword } from "./passwords-hashing.ts"
import { wrongCurrentPassword } from "./problems.ts"
import { type Account, type AttemptCounts, hashAddress, type Throttle } from "./rate-limits.ts"
import type { LogEvent } from "./security-log.ts"
import { findPassword } from "./users.ts"

type Deps = { throttle: Throttle; logEvent: LogEvent }

type Attempt = {
  account: Account
  /** Whether somebody logged in to the account from this address lately. */
  isKnown: boolean
  password: string
  /** Undefined or null if there is no password: the attempt then fails, and takes as long. */
  hash: string | null | undefined
  client: Client
  refusal: () => Problem
}

const codeOf = (error: unknown) => (error instanceof Problem ? error.code : undefined)

/** Calls `onMatch` with the hash that matched, in the same hash slot. `onMatch` has to uncount the attempt. */
export const attemptPassword = async <Result>(
  { throttle, logEvent }: Deps,
  { account, isKnown, password, hash, client, refusal }: Attempt,
  onMatch: (hash: string, counts: AttemptCounts) => Promise<Result>,
): Promise<Result> => {
  const { address } = client
  const about = { userId: "id" in account ? account.id : undefined, address }
  try {
    const counts = throttle.admit(account, address, isKnown)
    return await withHashSlot(client, async () => {
      await throttle.countAttempt(counts)
      const isRight = await verifyPassword(password, hash)
      if (!hash || !isRight) throw refusal()
      return onMatch(hash, counts)
    })
  } catch (error) {
    if (codeOf(error) === "INVALID_CREDENTIALS") logEvent("login_failed", about)
    if (codeOf(error) === "TOO_MANY_REQUESTS") logEvent("login_throttled", about)
    throw error
  }
}

type OwnAttempt = { userId: number; password: string; client: Client }

/** For a caller who is signed in and has to give the password again. */
export const attemptOwnPassword = async <Result>(
  deps: Deps & { sql: Sql },
  { userId, password, client }: OwnAttempt,
  onMatch: (hash: string, counts: AttemptCounts) => Promise<Result>,
): Promise<Result> => {
  const found = await findPassword(deps.sql, userId, hashAddress(client.address))
  const attempt = {
    account: { id: userId, password_hash: found.password_hash },
    isKnown: found.is_known,
    password,
    hash: found.password_hash,
    client,
    refusal: wrongCurrentPassword,
  }
  return attemptPassword(deps, attempt, onMatch)
}
