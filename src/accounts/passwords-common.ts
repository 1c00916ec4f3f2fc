/** The most common passwords: 160 KB of sorted fingerprints, read when somebody chooses a password. */
import { readFileSync } from "node:fs"
import file from "./common.fingerprints" with { type: "file" }
import { BYTES, fingerprint } from "./passwords-fingerprint.ts"

const common = readFileSync(file)

export const isCommon = (password: string) => {
  const wanted = fingerprint(password)
  let low = 0
  let high = common.length / BYTES
  while (low < high) {
    const middle = (low + high) >>> 1
    const order = common.compare(wanted, 0, BYTES, middle * BYTES, (middle + 1) * BYTES)
    if (order === 0) return true
    if (order < 0) low = middle + 1
    else high = middle
  }
  return false
}
