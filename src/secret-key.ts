/** The key that signs our tokens: configured, or made once and kept beside the embedded database. */
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Config } from "./config.ts"

/** Enough for HS512. */
const KEY_BYTES = 64

export const secretKey = ({ SECRET_KEY, DATA_DIR }: Config): string => {
  if (SECRET_KEY !== undefined) return SECRET_KEY
  const file = join(DATA_DIR, "secret_key")
  try {
    writeFileSync(file, randomBytes(KEY_BYTES).toString("base64url"), { mode: 0o600, flag: "wx" })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
  return readFileSync(file, "utf8")
}
