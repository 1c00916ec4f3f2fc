/** IndexedDB, or memory where the browser allows none, as in some private windows and frames. */
import { findIndexedDb, indexedDbStorage } from "./indexed-db.ts"
import { memoryStorage } from "./memory.ts"
import type { Storage } from "./storage.ts"

/** Undefined if there is no IndexedDB, as outside of browsers. */
export const browserStorage = (name: string): Storage | undefined => {
  const factory = findIndexedDb()
  if (!factory) return undefined
  let used = indexedDbStorage(factory, name)
  let chosen: Promise<Storage> | undefined
  /**
   * The first access decides for good: the browser may allow no storage here, as in some private
   * windows and frames. Any other failure is the caller's: what is stored is not to be hidden behind
   * an empty memory because the disk failed once.
   */
  const choose = async () => {
    chosen ??= used.read("session").then(
      () => used,
      (error) => {
        chosen = undefined
        if (!/^(Security|InvalidState|NotAllowed)Error/.test(String(error))) throw error
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
    get isVolatile() {
      return used.isVolatile
    },
    read: async (prefix) => (await choose()).read(prefix),
    write: async (values, guard) => (await choose()).write(values, guard),
    persist: async (ask) => (await choose()).persist?.(ask) ?? false,
  }
}
