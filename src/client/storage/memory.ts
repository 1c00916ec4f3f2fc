/** A storage in memory, which is lost when the process ends. */
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
