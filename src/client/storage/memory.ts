/** A storage in memory, which is lost when the process ends. */
import { randomKey } from "../platform.ts"
import type { Guard, Storage, Stored } from "./storage.ts"

/** The values of a storage whose whole content is at hand. */
export const readFrom = (values: ReadonlyMap<string, Stored>, prefix: string) =>
  new Map([...values].filter(([key]) => key.startsWith(prefix)))

/** Returns whether the guard holds, and then makes the change. */
export const writeTo = (
  values: Map<string, Stored>,
  changes: ReadonlyMap<string, Stored>,
  guard: Guard | undefined,
) => {
  for (const [key, value] of guard ?? []) if (values.get(key) !== value) return false
  for (const [key, value] of changes)
    if (value === undefined) values.delete(key)
    else values.set(key, value)
  return true
}

/** A storage in memory: nothing outlives the page or the process. */
export const memoryStorage = (): Storage => {
  const values = new Map<string, Stored>()
  return {
    name: `memory:${randomKey()}`,
    isVolatile: true,
    read: async (prefix) => readFrom(values, prefix),
    write: async (changes, guard) => writeTo(values, changes, guard),
  }
}
