/** A storage in IndexedDB, which outlives a reload and is shared by all tabs of an origin. */
import type { Storage, Stored } from "./storage.ts"

/** The few browser types that are used, so that the package compiles without the DOM library. */
type DbRequest<T> = { result: T; error: unknown; onsuccess: () => void; onerror: () => void }
type ObjectStore = {
  get(key: string): DbRequest<Stored>
  put(value: Stored, key: string): void
  delete(key: string): void
}
type Transaction = {
  objectStore(name: string): ObjectStore
  error: unknown
  oncomplete: () => void
  onabort: () => void
}
type Database = {
  createObjectStore(name: string): void
  transaction(store: string, mode: "readonly" | "readwrite"): Transaction
  onclose: () => void
}
type Factory = {
  open(name: string, version: number): DbRequest<Database> & { onupgradeneeded: () => void }
}

const STORE = "values"

/** Undefined outside of browsers. If a browser blocks the storage, even this access may throw. */
export const findIndexedDb = () => {
  try {
    return (globalThis as unknown as { indexedDB?: Factory }).indexedDB
  } catch {
    return undefined
  }
}

export const indexedDbStorage = (indexedDB: Factory, name: string): Storage => {
  let opened: Promise<Database> | undefined

  const open = () =>
    new Promise<Database>((resolve, reject) => {
      const request = indexedDB.open(name, 1)
      request.onupgradeneeded = () => request.result.createObjectStore(STORE)
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        // The browser closes the database when the user clears the site's data.
        request.result.onclose = () => {
          opened = undefined
        }
        resolve(request.result)
      }
    })

  const database = () => {
    opened ??= open().catch((error) => {
      opened = undefined
      throw error
    })
    return opened
  }

  /** A browser may close the database without an event. Then it is opened again. */
  const begin = async (mode: "readonly" | "readwrite") => {
    const before = await database()
    try {
      return before.transaction(STORE, mode)
    } catch {
      opened = undefined
      return (await database()).transaction(STORE, mode)
    }
  }

  const run = async <T>(
    mode: "readonly" | "readwrite",
    work: (store: ObjectStore, end: (value: T) => void) => void,
  ) => {
    const transaction = await begin(mode)
    return new Promise<T>((resolve, reject) => {
      transaction.onabort = () => reject(transaction.error)
      work(transaction.objectStore(STORE), (value) => {
        // Only a completed transaction is stored. Until then it may still be aborted.
        transaction.oncomplete = () => resolve(value)
      })
    })
  }

  return {
    name,
    read: (key) =>
      run("readonly", (store, end) => {
        const request = store.get(key)
        request.onsuccess = () => end(request.result)
      }),
    update: (key, change) =>
      run("readwrite", (store, end) => {
        const request = store.get(key)
        request.onsuccess = () => {
          const value = change(request.result)
          if (value === undefined) store.delete(key)
          else store.put(value, key)
          end(undefined)
        }
      }),
  }
}
