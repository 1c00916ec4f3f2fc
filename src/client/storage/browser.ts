/** The browser's storage, or the memory where the browser blocks it: in private windows, in frames. */
import { findIndexedDb, indexedDbStorage } from "./indexed-db.ts"
import { memoryStorage } from "./memory.ts"
import type { Storage } from "./storage.ts"

/** Undefined outside of browsers. */
export const browserStorage = (name: string): Storage | undefined => {
  const factory = findIndexedDb()
  if (!factory) return undefined
  let used = indexedDbStorage(factory, name)
  let chosen: Promise<Storage> | undefined
  /** What can be read at first is kept to: what is full later has to be told. */
  const choose = () => {
    chosen ??= used.read("session").then(
      () => used,
      () => {
        used = memoryStorage()
        return used
      },
    )
    return chosen
  }
  return {
    /** Another one from the first read on where tabs share nothing: none speaks for another. */
    get name() {
      return used.name
    },
    read: async (key) => (await choose()).read(key),
    update: async (key, change) => (await choose()).update(key, change),
  }
}
