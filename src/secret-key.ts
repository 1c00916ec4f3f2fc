/** The key that signs our tokens: configured, or made once and kept beside the embedded database. */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Config } from "./config.ts"
import { readPrivateFile, writePrivateFile } from "./data-dir.ts"

/** Enough for HS512. */
const KEY_BYTES = 64

export const secretKey = ({ SECRET_KEY, DATA_DIR }: Config): string => {
  if (SECRET_KEY !== undefined) return SECRET_KEY
  const file = join(DATA_DIR, "secret_key")
  // A part of a key would sign tokens, and an empty one end every later start.
  if (!existsSync(file)) writePrivateFile(file, randomBytes(KEY_BYTES).toString("base64url"))
  const key = readPrivateFile(file)
  if (key.length < KEY_BYTES)
    throw new Error(`${file} is damaged: restore it, or delete it, which ends all sessions`)
  return key
}
