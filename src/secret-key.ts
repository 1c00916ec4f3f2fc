/** The keys that sign what clients keep: configured, or made and kept beside the embedded database. */
import { randomBytes } from "node:crypto"
import {
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import type { Config } from "./config.ts"
import { syncDirectory } from "./data-dir.ts"
import type { Secrets } from "./mac.ts"

/** Enough for HS512. */
const KEY_BYTES = 64

const currentFile = (dataDir: string) => join(dataDir, "secret_key")
const previousFile = (dataDir: string) => join(dataDir, "secret_key.previous")

/** Whole or not at all: a part of a key would sign tokens, and an empty one end every later start. */
const writeKey = (file: string, key: string, owner?: { uid: number; gid: number }) => {
  const draft = `${file}.draft`
  const fd = openSync(draft, "w", 0o600)
  // Whoever rotates the key need not be who serves with it.
  if (owner) fchownSync(fd, owner.uid, owner.gid)
  writeFileSync(fd, key)
  fsyncSync(fd)
  closeSync(fd)
  renameSync(draft, file)
}

const newKey = () => randomBytes(KEY_BYTES).toString("base64url")

const readKey = (file: string) => {
  const key = readFileSync(file, "utf8")
  if (key.length < KEY_BYTES)
    throw new Error(`${file} is damaged: restore it, or delete it, which ends all sessions`)
  return key
}

const generatedKeys = (dataDir: string): Secrets => {
  const file = currentFile(dataDir)
  if (!existsSync(file)) {
    writeKey(file, newKey())
    syncDirectory(dataDir)
  }
  const previous = previousFile(dataDir)
  return existsSync(previous) ? [readKey(file), readKey(previous)] : [readKey(file)]
}

type Settings = Pick<Config, "SECRET_KEY" | "SECRET_KEY_PREVIOUS" | "DATA_DIR">

export const secretKeys = ({ SECRET_KEY, SECRET_KEY_PREVIOUS, DATA_DIR }: Settings): Secrets => {
  const [current, ...previous] =
    SECRET_KEY === undefined ? generatedKeys(DATA_DIR) : ([SECRET_KEY] as const)
  return SECRET_KEY_PREVIOUS === undefined
    ? [current, ...previous]
    : [current, ...previous, SECRET_KEY_PREVIOUS]
}

/**
 * Replaces the generated key, and keeps the old one as the previous. It is kept before the new one
 * is there: at no moment is what the old one signed without its key. False where no key was made.
 */
export const rotateGeneratedKey = (dataDir: string): boolean => {
  const file = currentFile(dataDir)
  if (!existsSync(file)) return false
  const owner = statSync(file)
  writeKey(previousFile(dataDir), readKey(file), owner)
  syncDirectory(dataDir)
  writeKey(file, newKey(), owner)
  syncDirectory(dataDir)
  return true
}
