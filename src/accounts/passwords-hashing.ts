/** Hashes and verifies passwords by argon2id, off the event loop. hash-queue.ts says when. */

/** OWASP's first choice for argon2id: 19 MiB, 2 passes. Memory is in KiB. */
const argon2id = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const

export const hashPassword = (password: string) => Bun.password.hash(password, argon2id)

/** The hash of a password that nobody knows, made with the parameters above. */
const DECOY =
  "$argon2id$v=19$m=19456,t=2,p=1$X7g2JpIDap9bCbXmvgXJhyQIkROIXPJUNytGZnmUEuI$ekk6blnVBwGPMCTKZl3rC7X6UnFAclvMCDRNvSOMI8c"

/** Without a hash (an unknown email, a user from outside) it is false, after the same time. */
export const verifyPassword = (password: string, hash: string | null | undefined) =>
  Bun.password.verify(password, hash ?? DECOY)
