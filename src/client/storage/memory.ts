/** A storage that ends with the process. */
import { randomKey } from "../platform.ts"
import type { Storage, Stored } from "./storage.ts"

export const memoryStorage = (): Storage => {
  const values = new Map<string, Stored>()
  return {
    name: `memory:${randomKey()}`,
    read: async (key) => values.get(key),
    update: async (key, change) => {
      values.set(key, change(values.get(key)))
    },
  }
}
