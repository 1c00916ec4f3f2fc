/** IndexedDB, or memory where the browser blocks it, as in some private windows and frames. */
import { findIndexedDb, indexedDbStorage } from "./indexed-db.ts"
import { memoryStorage } from "./memory.ts"
import type { Storage } from "./storage.ts"

/** Undefined if there is no IndexedDB, as outside of browsers. */
export const browserStorage = (name: string): Storage | undefined => {
  const factory = findIndexedDb()
  if (!factory) return undefined
  let used = indexedDbStorage(factory, name)
  let chosen: Promise<Storage> | undefined
  /** The first read decides for good. If the storage is full later, the caller gets the error. */
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
    /** Memory has another name in each tab: tabs without a shared storage have no common leader. */
    get name() {
      return used.name
    },
    read: async (key) => (await choose()).read(key),
    update: async (key, change) => (await choose()).update(key, change),
  }
}
