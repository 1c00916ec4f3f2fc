/** Password hashing: argon2id off the event loop, a bounded number at once. */
import { availableParallelism } from "node:os"
import { type Problem, unavailable } from "../errors.ts"

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

/**
 * Each takes 19 MiB and a core for some 20 ms: more at once would only take more memory. And fewer
 * than the failed logins of an account: a burst of right ones is counted before they turn out so.
 */
const AT_ONCE = Math.min(availableParallelism(), 8)
/** Whoever has waited for longer is told to come later: connections that idle for 30 s are closed. */
const WAIT_LIMIT_MS = 20_000

let running = 0
const waiting: { begin: () => void; refuse: (reason: Problem) => void; since: number }[] = []

/** Turns end all the time, so that nobody needs a timer to be refused. */
const endTurn = () => {
  const latest = performance.now() - WAIT_LIMIT_MS
  let next = waiting.shift()
  for (; next && next.since < latest; next = waiting.shift())
    next.refuse(unavailable("Too many logins at once", 5))
  if (next) next.begin()
  else running--
}

/** Runs work that hashes, when it is its turn. */
export const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
  if (running < AT_ONCE) running++
  else
    await new Promise<void>((begin, refuse) =>
      waiting.push({ begin, refuse, since: performance.now() }),
    )
  try {
    return await work()
  } finally {
    endTurn()
  }
}

export const hashPassword = (password: string) => Bun.password.hash(password, argon2id)

/** Of a password that nobody knows, with the parameters above. */
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$X7g2JpIDap9bCbXmvgXJhyQIkROIXPJUNytGZnmUEuI$ekk6blnVBwGPMCTKZl3rC7X6UnFAclvMCDRNvSOMI8c"

/** Without a hash (an unknown email, a user from outside) it takes as long, and is false. */
export const verifyPassword = (password: string, hash: string | null | undefined) =>
  Bun.password.verify(password, hash ?? DECOY)
