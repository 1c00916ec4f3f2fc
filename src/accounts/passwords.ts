/** Passwords: which may be chosen, how they are hashed, and attempts at them. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { createLimiter, type Limiter } from "../concurrency/limiter.ts"
import { ClientLeft } from "../database/errors.ts"
import type { Client } from "../http/client-address.ts"
import { badRequest, Problem, unavailable } from "../http/problem.ts"
import common from "./common.fingerprints" with { type: "file" }
import type { Account, AttemptCounts, RateLimits } from "./rate-limits.ts"
import type { LogEvent } from "./security-log.ts"

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

/** The hash of a password that nobody knows, made with the parameters above. */
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$X7g2JpIDap9bCbXmvgXJhyQIkROIXPJUNytGZnmUEuI$ekk6blnVBwGPMCTKZl3rC7X6UnFAclvMCDRNvSOMI8c"

/**
 * Hashing takes 19 MiB of memory and a core for about 20 ms. Two at once for each core, because an attempt
 * keeps its slot while the database counts it. They must be fewer than the failed logins that an account may
 * have: then a burst of attempts is counted before any of them succeeds. Addresses take turns; whoever waits
 * gets a response before the connection is closed.
 */
export const createHashing = (): Limiter<string> =>
  createLimiter({
    total: Math.min(availableParallelism() * 2, 8),
    queue: 1_000,
    queuePerKey: 100,
    waitMs: 20_000,
    refuse: (why) =>
      why === "left" ? new ClientLeft() : unavailable("Too many logins at once", 5),
  })

type Hashing = { hashing: Limiter<string> }

const acquireSlot = ({ hashing }: Hashing, client: Client) =>
  hashing.acquire(client.address, { signal: () => client.signal })

const hashNow = (password: string) => Bun.password.hash(password, argon2id)

/** For a password that nobody has to prove anything for. */
export const hashPassword = async (deps: Hashing, password: string, client: Client) => {
  using _ = await acquireSlot(deps, client)
  return await hashNow(password)
}

type AttemptDeps = Hashing & {
  limits: Pick<RateLimits, "admit" | "countAttempt">
  logEvent: LogEvent
}

/** An attempt at an account's password, which holds a hashing slot until it is disposed of. */
export type Attempt = Disposable & {
  /** To be uncounted if it succeeds. */
  counts: AttemptCounts
  /** Throws `refusal()` unless the password matches. Without a hash it takes as long. */
  verify: (password: string, hash: string | null, refusal: () => Problem) => Promise<string>
  hash: (password: string) => Promise<string>
  /** For failures after the password has matched. */
  fail: (error: unknown) => never
}

/** Throws the error, and logs what it means for an attempt. */
export const failAttempt =
  (logEvent: LogEvent, about: { userId?: number | undefined; address: string }) =>
  (error: unknown): never => {
    const code = error instanceof Problem ? error.code : undefined
    if (code === "INVALID_CREDENTIALS") logEvent("login_failed", about)
    if (code === "TOO_MANY_REQUESTS") logEvent("login_throttled", about)
    throw error
  }

/** Waits for a hashing slot, and counts the attempt as failed before it is made. Throws a 429 or a 503. */
export const beginAttempt = async (
  deps: AttemptDeps,
  account: Account,
  client: Client,
): Promise<Attempt> => {
  const fail = failAttempt(deps.logEvent, {
    userId: "id" in account ? account.id : undefined,
    address: client.address,
  })
  using unwound = new DisposableStack()
  try {
    const counts = deps.limits.admit(account, client.address)
    unwound.use(await acquireSlot(deps, client))
    await deps.limits.countAttempt(counts)
    const slot = unwound.move()
    return {
      counts,
      async verify(password, hash, refusal) {
        const isRight = await Bun.password.verify(password, hash ?? DECOY)
        return hash !== null && isRight ? hash : fail(refusal())
      },
      hash: hashNow,
      fail,
      [Symbol.dispose]: () => slot.dispose(),
    }
  } catch (error) {
    return fail(error)
  }
}

/** The form in which common passwords are stored. Another password has the same one once in 10^15. */
export const FINGERPRINT_BYTES = 8
export const fingerprint = (password: string) =>
  createHash("sha256").update(password).digest().subarray(0, FINGERPRINT_BYTES)

/** Among 160 KB of sorted fingerprints, which are read anew each time: hashing takes a hundred times longer. */
export const isCommon = (password: string) => {
  const fingerprints = readFileSync(common)
  const wanted = fingerprint(password)
  let low = 0
  let high = fingerprints.length / FINGERPRINT_BYTES
  while (low < high) {
    const middle = (low + high) >>> 1
    const start = middle * FINGERPRINT_BYTES
    const order = fingerprints.compare(
      wanted,
      0,
      FINGERPRINT_BYTES,
      start,
      start + FINGERPRINT_BYTES,
    )
    if (order === 0) return true
    if (order < 0) low = middle + 1
    else high = middle
  }
  return false
}

/** Throws a 400 for a new password that an attacker would try first. `email`: null for a user who has none. */
export const refuseGuessable = (
  pointer: "/password" | "/new_password",
  password: string,
  email: string | null,
) => {
  const guess = password.trim().toLowerCase()
  if (guess === email?.trim().toLowerCase())
    throw badRequest([{ pointer, message: "must not be the email of the account" }])
  if (guess === "" || isCommon(guess))
    throw badRequest([{ pointer, message: "is one of the most common passwords" }])
}
