/** The key that signs our tokens: configured, or made once and kept beside the embedded database. */
import { randomBytes } from "node:crypto"
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import type { Config } from "./config.ts"
import { syncDirectory } from "./data-dir.ts"

/** Enough for HS512. */
const KEY_BYTES = 64

/** Whole or not at all: a part of a key would sign tokens, and an empty one end every later start. */
const makeKey = (file: string) => {
  const draft = `${file}.draft`
  const fd = openSync(draft, "w", 0o600)
  writeFileSync(fd, randomBytes(KEY_BYTES).toString("base64url"))
  fsyncSync(fd)
  closeSync(fd)
  renameSync(draft, file)
}

export const secretKey = ({ SECRET_KEY, DATA_DIR }: Config): string => {
  if (SECRET_KEY !== undefined) return SECRET_KEY
  const file = join(DATA_DIR, "secret_key")
  if (!existsSync(file)) {
    makeKey(file)
    syncDirectory(DATA_DIR)
  }
  const key = readFileSync(file, "utf8")
  if (key.length < KEY_BYTES)
    throw new Error(`${file} is damaged: restore it, or delete it, which ends all sessions`)
  return key
}
