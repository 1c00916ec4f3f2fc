/** Password hashing: argon2id off the event loop, a bounded number at once. */
import { availableParallelism } from "node:os"
import { unavailable } from "../errors.ts"

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

/** Each takes 19 MiB and a core for some 20 ms: more at once would only take more memory. */
const AT_ONCE = availableParallelism()
/** At 20 ms each, whoever comes later would wait longer than a client does. */
const WAITING_LIMIT = 1_000

let running = 0
const waiting: (() => void)[] = []

const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
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

export const hashPassword = (password: string) =>
  inTurn(() => Bun.password.hash(password, argon2id))

let decoy: Promise<string> | undefined

/** Without a hash (an unknown email) it takes as long, and is false. */
export const verifyPassword = async (password: string, hash: string | null | undefined) => {
  decoy ??= hashPassword(crypto.randomUUID())
  const against = hash ?? (await decoy)
  const matches = await inTurn(() => Bun.password.verify(password, against))
  return matches && typeof hash === "string"
}
