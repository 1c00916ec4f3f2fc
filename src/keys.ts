/** The secret keys, configured or generated and kept in DATA_DIR, and the signatures of what clients keep by them. */
import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto"
import { existsSync, statSync, utimesSync } from "node:fs"
import { join } from "node:path"
import type { Config } from "./config/config.ts"
import { placePrivateFile, readPrivateFile, writePrivateFile } from "./data-dir/private-files.ts"

/** The current one signs. Signatures by the previous ones stay valid. */
export type Secrets = readonly [current: string, ...previous: string[]]

/** As long as HS512 requires. */
const KEY_BYTES = 64

const currentFile = (dataDir: string) => join(dataDir, "secret_key")
const previousFile = (dataDir: string) => join(dataDir, "secret_key.previous")

const newKey = () => randomBytes(KEY_BYTES).toString("base64url")

const readKey = (file: string) => {
  const key = readPrivateFile(file)
  if (key.length < KEY_BYTES)
    throw new Error(`${file} is damaged: restore it, or delete it, which ends all sessions`)
  return key
}

type Settings = Pick<Config, "SECRET_KEY" | "SECRET_KEY_PREVIOUS" | "DATA_DIR">

export const secretKeys = ({ SECRET_KEY, SECRET_KEY_PREVIOUS, DATA_DIR }: Settings): Secrets => {
  const before = SECRET_KEY_PREVIOUS === undefined ? [] : [SECRET_KEY_PREVIOUS]
  if (SECRET_KEY !== undefined) return [SECRET_KEY, ...before]
  const [file, previous] = [currentFile(DATA_DIR), previousFile(DATA_DIR)]
  // Written completely or not at all: a truncated key would be weak, an empty one would fail every start.
  if (!existsSync(file)) writePrivateFile(file, newKey())
  return [readKey(file), ...(existsSync(previous) ? [readKey(previous)] : []), ...before]
}

/** Has to be called before the key is read in order to sign, because it may be replaced meanwhile. */
export const noteKeyUse = ({ SECRET_KEY, DATA_DIR }: Settings) => {
  const file = currentFile(DATA_DIR)
  const seconds = Date.now() / 1_000
  if (SECRET_KEY === undefined && existsSync(file)) utimesSync(file, seconds, seconds)
}

/**
 * Replaces the generated key, and keeps the old one as the previous key. That is written first, so that
 * there is a key for old tokens at every moment. The draft of the new key is written before both, so
 * that the new key is older than the previous one until a start notes its use. False if no key was
 * generated.
 */
export const rotateGeneratedKey = (dataDir: string): boolean => {
  const [file, previous] = [currentFile(dataDir), previousFile(dataDir)]
  if (!existsSync(file)) return false
  const draft = `${file}.next`
  // The user who rotates the key may be another than the one who runs the service.
  const owner = statSync(file)
  try {
    placePrivateFile(file, newKey(), owner, draft, () => {
      // A second one before a start would lose the first key, which signed all current tokens.
      if (existsSync(previous) && statSync(file).mtimeMs <= statSync(previous).mtimeMs)
        throw new Error(
          `${file} was replaced, and the service has not been started since: restart it first. ` +
            "Another new key would log everybody out.",
        )
      writePrivateFile(previous, readKey(file), owner)
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    throw new Error(`Another rotate-key is under way. If there is none any more, remove ${draft}.`)
  }
  return true
}

/** Whether another key than this one was generated here before. */
export const hasOtherKey = (dataDir: string, key: string): boolean => {
  const file = currentFile(dataDir)
  return existsSync(file) && readKey(file) !== key
}

/** Takes over the keys of another service, so that what they signed stays valid. */
export const adoptKeys = (dataDir: string, [current, previous]: Secrets) => {
  if (previous !== undefined) writePrivateFile(previousFile(dataDir), previous)
  writePrivateFile(currentFile(dataDir), current)
}

/** RFC 5869: a key tells nothing about the secret, nor about the keys of other purposes. */
const deriveKey = (secret: string, purpose: string) =>
  Buffer.from(hkdfSync("sha256", secret, "", `todo-api ${purpose}`, 32))

const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** All instances that share a secret verify each other's signatures. */
export const createMac = (secrets: Secrets, purpose: string) => {
  const [current, ...previous] = secrets
  const signingKey = deriveKey(current, purpose)
  const keys = [signingKey, ...previous.map((secret) => deriveKey(secret, purpose))]
  return {
    /** Returns base64url. */
    sign: (text: string): string => hmac(signingKey, text).toString("base64url"),
    /** Takes constant time for signatures of the right length. */
    verify(text: string, signature: string): boolean {
      const given = Buffer.from(signature, "base64url")
      // Otherwise spare bits and ignored characters would give a text several signatures.
      if (given.toString("base64url") !== signature) return false
      return keys.some((key) => {
        const expected = hmac(key, text)
        return given.length === expected.length && timingSafeEqual(given, expected)
      })
    },
  }
}
