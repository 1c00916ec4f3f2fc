/** How the list of common passwords names one: some other password is taken for one of them once in 10^15. */
import { createHash } from "node:crypto"

export const BYTES = 8

export const fingerprint = (password: string) =>
  createHash("sha256").update(password).digest().subarray(0, BYTES)
