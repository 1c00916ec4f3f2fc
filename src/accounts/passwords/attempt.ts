/** A guess at a password: counted before it is made, made in turn, and logged where it is refused. */
import type { Sql } from "../../database/connection.ts"
import { Problem } from "../../errors.ts"
import type { Client } from "../client.ts"
import { wrongCurrentPassword } from "../problems.ts"
import { findPassword } from "../queries.ts"
import type { LogEvent } from "../security-log.ts"
import {
  type Account,
  type AttemptCounts,
  hashAddress,
  type Throttle,
} from "../throttle/throttle.ts"
import { withHashSlot } from "./hash-queue.ts"
import { verifyPassword } from "./hashing.ts"

type Deps = { throttle: Throttle; logEvent: LogEvent }

type Attempt = {
  account: Account
  /** Whether the account was logged in to from the client's address lately. */
  isKnown: boolean
  password: string
  /** Undefined or null where the account has none: the guess is then wrong, and takes as long. */
  hash: string | null | undefined
  client: Client
  refusal: () => Problem
}

const codeOf = (error: unknown) => (error instanceof Problem ? error.code : undefined)

/** Goes on with the hash that was found right, in the same turn; the guess is then to be forgiven. */
export const attemptPassword = async <Result>(
  { throttle, logEvent }: Deps,
  { account, isKnown, password, hash, client, refusal }: Attempt,
  goOn: (hash: string, counts: AttemptCounts) => Promise<Result>,
): Promise<Result> => {
  const { address } = client
  const about = { userId: "id" in account ? account.id : undefined, address }
  try {
    const counts = throttle.admit(account, address, isKnown)
    return await withHashSlot(client, async () => {
      await throttle.countAttempt(counts)
      const isRight = await verifyPassword(password, hash)
      if (!hash || !isRight) throw refusal()
      return goOn(hash, counts)
    })
  } catch (error) {
    if (codeOf(error) === "INVALID_CREDENTIALS") logEvent("login_failed", about)
    if (codeOf(error) === "TOO_MANY_REQUESTS") logEvent("login_throttled", about)
    throw error
  }
}

type OwnAttempt = { userId: number; password: string; client: Client }

/** For a caller who is signed in, and shows that they know the password of the account. */
export const attemptOwnPassword = async <Result>(
  deps: Deps & { sql: Sql },
  { userId, password, client }: OwnAttempt,
  goOn: (hash: string, counts: AttemptCounts) => Promise<Result>,
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
  return attemptPassword(deps, attempt, goOn)
}
