/** The keys that sign what clients keep: configured, or made and kept beside the embedded database. */
import { randomBytes } from "node:crypto"
import { existsSync, statSync, utimesSync } from "node:fs"
import { join } from "node:path"
import { placePrivateFile, readPrivateFile, writePrivateFile } from "../data-dir/private-files.ts"
import type { Secrets } from "./mac.ts"

/** Enough for HS512. */
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

const generatedKeys = (dataDir: string): Secrets => {
  const file = currentFile(dataDir)
  // A part of a key would sign tokens, and an empty one end every later start.
  if (!existsSync(file)) writePrivateFile(file, newKey())
  const previous = previousFile(dataDir)
  return existsSync(previous) ? [readKey(file), readKey(previous)] : [readKey(file)]
}

type Settings = {
  SECRET_KEY: string | undefined
  SECRET_KEY_PREVIOUS: string | undefined
  DATA_DIR: string
}

export const secretKeys = ({ SECRET_KEY, SECRET_KEY_PREVIOUS, DATA_DIR }: Settings): Secrets => {
  const [current, ...previous] =
    SECRET_KEY === undefined ? generatedKeys(DATA_DIR) : ([SECRET_KEY] as const)
  return SECRET_KEY_PREVIOUS === undefined
    ? [current, ...previous]
    : [current, ...previous, SECRET_KEY_PREVIOUS]
}

/** To be called by whoever is about to sign: before it reads the key, which may be replaced meanwhile. */
export const noteUse = ({ SECRET_KEY, DATA_DIR }: Settings) => {
  const file = currentFile(DATA_DIR)
  const now = new Date()
  if (SECRET_KEY === undefined && existsSync(file)) utimesSync(file, now, now)
}

const isTaken = (error: unknown) =>
  error instanceof Error && "code" in error && error.code === "EEXIST"

/** Of two keys that are replaced before one signs, the first is lost, and all that it signed. */
const expectUse = (file: string, previous: string) => {
  if (existsSync(previous) && statSync(file).mtimeMs <= statSync(previous).mtimeMs)
    throw new Error(
      `${file} was replaced, and the service has not been started since: restart it first. ` +
        "Another new key would log everybody out.",
    )
}

/**
 * Replaces the generated key, and keeps the old one as the previous. It is kept before the new one
 * is there: at no moment is what the old one signed without its key. The draft is written before
 * both, so that the new key is older than the previous one until a start notes its use. False where
 * no key was made.
 */
export const rotateGeneratedKey = (dataDir: string): boolean => {
  const [file, previous] = [currentFile(dataDir), previousFile(dataDir)]
  if (!existsSync(file)) return false
  const draft = `${file}.next`
  // Whoever rotates the key need not be who serves with it.
  const owner = statSync(file)
  try {
    placePrivateFile(file, newKey(), owner, draft, () => {
      expectUse(file, previous)
      writePrivateFile(previous, readKey(file), owner)
    })
  } catch (error) {
    if (!isTaken(error)) throw error
    throw new Error(`Another rotate-key is under way. If there is none any more, remove ${draft}.`)
  }
  return true
}

/** Whether another key than this one was made here already. */
export const hasOtherKey = (dataDir: string, key: string): boolean => {
  const file = currentFile(dataDir)
  return existsSync(file) && readKey(file) !== key
}

/** Those of another service, the previous one too: what they signed goes on being good. */
export const adoptKeys = (dataDir: string, [current, previous]: Secrets) => {
  if (previous !== undefined) writePrivateFile(previousFile(dataDir), previous)
  writePrivateFile(currentFile(dataDir), current)
}
