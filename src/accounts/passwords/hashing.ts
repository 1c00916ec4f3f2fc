/** Password hashing: argon2id, off the event loop. When: hash-queue.ts. */

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

export const hashPassword = (password: string) => Bun.password.hash(password, argon2id)

/** Of a password that nobody knows, with the parameters above. */
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$X7g2JpIDap9bCbXmvgXJhyQIkROIXPJUNytGZnmUEuI$ekk6blnVBwGPMCTKZl3rC7X6UnFAclvMCDRNvSOMI8c"

/** Without a hash (an unknown email, a user from outside) it takes as long, and is false. */
export const verifyPassword = (password: string, hash: string | null | undefined) =>
  Bun.password.verify(password, hash ?? DECOY)
