/** Message authentication codes on what clients keep for the service: a key for each purpose. */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"

/** The one that signs, and those before it, whose signatures stay good. */
export type Secrets = readonly [current: string, ...previous: string[]]

/** RFC 5869: no purpose's key tells anything about another's, or about the secret. */
const deriveKey = (secret: string, purpose: string) =>
  Buffer.from(hkdfSync("sha256", secret, "", `todo-api ${purpose}`, 32))

const hmac = (key: Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** All instances that share a secret verify each other's signatures. */
export const createMac = (secrets: Secrets, purpose: string) => {
  const [current, ...previous] = secrets
  const signingKey = deriveKey(current, purpose)
  const keys = [signingKey, ...previous.map((secret) => deriveKey(secret, purpose))]
  return {
    /** In base64url. */
    sign: (text: string): string => hmac(signingKey, text).toString("base64url"),
    /** In constant time for a signature of the right length. */
    verify(text: string, signature: string): boolean {
      const given = Buffer.from(signature, "base64url")
      // Spare bits and other characters would make several signatures out of one.
      if (given.toString("base64url") !== signature) return false
      return keys.some((key) => {
        const expected = hmac(key, text)
        return given.length === expected.length && timingSafeEqual(given, expected)
      })
    },
  }
}
