/** Passwords: which may be chosen, how they are hashed, and attempts at them. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { createLimiter, type Limiter } from "../concurrency/limiter.ts"
import type { Client } from "../http/client-address.ts"
import { badRequest, Problem, unavailable } from "../http/problem.ts"
import common from "./common.fingerprints" with { type: "file" }
import type { Accounts } from "./context.ts"
import type { Account, Credentials } from "./credentials.ts"
import type { AttemptCounts } from "./rate-limits.ts"
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
    refuse: () => unavailable("Too many logins at once", 5),
  })

type Deps = Pick<Accounts, "hashing" | "limits" | "logEvent">

const acquireSlot = ({ hashing }: Pick<Deps, "hashing">, client: Client) =>
  hashing.acquire(client.address, { signal: () => client.signal })

/** For whoever holds a slot. */
export const hashNow = (password: string) => Bun.password.hash(password, argon2id)

/** For a password that nobody has to prove anything for. */
export const hashPassword = async (deps: Deps, password: string, client: Client) => {
  using _ = await acquireSlot(deps, client)
  return await hashNow(password)
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

type Attempt = {
  account: Account
  password: string
  client: Client
  refusal: () => Problem
}

/**
 * Attempts an account's password, in a hashing slot, and counts that as failed before. If the password is right,
 * does what it allows, which is to uncount the attempt. Otherwise throws the refusal, a 429 or a 503. Takes as
 * long for an account without a password.
 */
export const attempt = <Result>(
  { hashing, limits, logEvent }: Deps,
  { account, password, client, refusal }: Attempt,
  succeed: (
    user: Credentials & { password_hash: string },
    counts: AttemptCounts,
  ) => Promise<Result>,
): Promise<Result> => {
  const user = "id" in account ? account : undefined
  const make = async () => {
    const counts = limits.admit(account, client.address)
    using _ = await acquireSlot({ hashing }, client)
    await limits.countAttempt(counts)
    const hash = user?.password_hash
    const isRight = await Bun.password.verify(password, hash ?? DECOY)
    if (!user || !hash || !isRight) throw refusal()
    return await succeed({ ...user, password_hash: hash }, counts)
  }
  return make().catch(failAttempt(logEvent, { userId: user?.id, address: client.address }))
}

/** The form in which common passwords are stored. Another password has the same one once in 10^14. */
export const fingerprint = (password: string) =>
  createHash("sha256").update(password).digest().subarray(0, 8)

/** Among 160 KB of fingerprints, which are read anew each time: hashing takes a hundred times longer. */
export const isCommon = (password: string) => readFileSync(common).includes(fingerprint(password))

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
