/** Password hashing: argon2id off the event loop, a bounded number at once. */
import { availableParallelism } from "node:os"
import { unavailable } from "../errors.ts"

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

/**
 * Each takes 19 MiB and a core for some 20 ms: more at once would only take more memory. And fewer
 * than the failed logins of an account: a burst of right ones is counted before they turn out so.
 */
const AT_ONCE = Math.min(availableParallelism(), 8)
/** At 20 ms each, whoever comes later would wait longer than a client does. */
const WAITING_LIMIT = 1_000

let running = 0
const waiting: (() => void)[] = []

/** Runs work that hashes, when it is its turn. */
export const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
  if (running < AT_ONCE) running++
  else {
    if (waiting.length >= WAITING_LIMIT) throw unavailable("Too many logins at once", 5)
    await new Promise<void>((resolve) => waiting.push(resolve))
  }
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}

export const hashPassword = (password: string) => Bun.password.hash(password, argon2id)

/** Of a password that nobody knows, with the parameters above. */
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$X7g2JpIDap9bCbXmvgXJhyQIkROIXPJUNytGZnmUEuI$ekk6blnVBwGPMCTKZl3rC7X6UnFAclvMCDRNvSOMI8c"

/** Without a hash (an unknown email, a user from outside) it takes as long, and is false. */
export const verifyPassword = (password: string, hash: string | null | undefined) =>
  Bun.password.verify(password, hash ?? DECOY)
