/** Signs what clients keep for the service, by HMAC, with a key for each purpose. */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"

/** The current one signs. Signatures by the previous ones stay valid. */
export type Secrets = readonly [current: string, ...previous: string[]]

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
