/** The form in which common passwords are stored. Another password has the same fingerprint once in 10^15. */
import { createHash } from "node:crypto"

export const BYTES = 8

export const fingerprint = (password: string) =>
  createHash("sha256").update(password).digest().subarray(0, BYTES)
