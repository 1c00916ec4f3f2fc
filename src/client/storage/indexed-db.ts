/** A storage in IndexedDB, which outlives a reload and is shared by all tabs of an origin. */
import type { Storage, Stored } from "./storage.ts"

/** The few browser types that are used, so that the package compiles without the DOM library. */
type DbRequest<T> = { result: T; error: unknown; onsuccess: () => void; onerror: () => void }
type KeyRange = unknown
type ObjectStore = {
  get(key: string): DbRequest<Stored>
  getAll(range: KeyRange): DbRequest<Stored[]>
  getAllKeys(range: KeyRange): DbRequest<string[]>
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
  onversionchange: () => void
  close(): void
}
type OpenRequest = DbRequest<Database> & { onupgradeneeded: () => void; onblocked: () => void }
export type Factory = { open(name: string, version: number): OpenRequest }
type Host = {
  indexedDB?: Factory
  IDBKeyRange: { bound(from: string, to: string): KeyRange }
  navigator?: { storage?: { persisted(): Promise<boolean>; persist(): Promise<boolean> } }
}
const host = globalThis as unknown as Host

const STORE = "values"
const VERSION = 1
/** How often and how soon what failed is tried again: a browser's disk may fail for a moment. */
const RETRIES = 3
const PAUSE = 200

/** Undefined outside of browsers. If a browser blocks the storage, even this access may throw. */
export const findIndexedDb = () => {
  try {
    return host.indexedDB
  } catch {
    return undefined
  }
}

const isPassing = (error: unknown) =>
  !/^(Security|NotAllowed|QuotaExceeded)Error/.test(String(error))

export const indexedDbStorage = (indexedDB: Factory, name: string): Storage => {
  let opened: Promise<Database> | undefined

  const open = () =>
    new Promise<Database>((resolve, reject) => {
      const request = indexedDB.open(name, VERSION)
      request.onupgradeneeded = () => request.result.createObjectStore(STORE)
      request.onerror = () => reject(request.error)
      request.onblocked = () =>
        reject(new Error("An older tab of this page keeps the database open: close it"))
      request.onsuccess = () => {
        const database = request.result
        const forget = () => {
          opened = undefined
        }
        // The browser closes the database when the user clears the site's data.
        database.onclose = forget
        // A newer version of the page wants to raise the version of the database.
        database.onversionchange = () => {
          database.close()
          forget()
        }
        resolve(database)
      }
    })

  const run = async <T>(
    mode: "readonly" | "readwrite",
    work: (store: ObjectStore, end: (value: T) => void) => void,
  ): Promise<T> => {
    opened ??= open()
    const transaction = (await opened).transaction(STORE, mode)
    return new Promise<T>((resolve, reject) => {
      transaction.onabort = () => reject(transaction.error ?? new Error("The storage gave up"))
      work(transaction.objectStore(STORE), (value) => {
        // Only a completed transaction is stored. Until then it may still be aborted.
        transaction.oncomplete = () => resolve(value)
      })
    })
  }

  /** A browser may close the database without an event. Then it is opened again. */
  const steadily: typeof run = async (mode, work) => {
    for (let failures = 0; ; failures++)
      try {
        return await run(mode, work)
      } catch (error) {
        opened?.then((database) => database.close()).catch(() => {})
        opened = undefined
        if (failures === RETRIES || !isPassing(error)) throw error
        await new Promise((resolve) => setTimeout(resolve, failures * PAUSE))
      }
  }

  return {
    name,
    read: (prefix) =>
      steadily("readonly", (store, end) => {
        const range = host.IDBKeyRange.bound(prefix, `${prefix}\uffff`)
        const [keys, values] = [store.getAllKeys(range), store.getAll(range)]
        values.onsuccess = () =>
          end(new Map(keys.result.map((key, index) => [key, values.result[index]])))
      }),
    write: (values, guard) =>
      steadily("readwrite", (store, end) => {
        const guarded = [...(guard ?? [])].map(([key, value]) => ({ value, found: store.get(key) }))
        const put = () => {
          if (guarded.some(({ value, found }) => found.result !== value)) return end(false)
          for (const [key, value] of values)
            if (value === undefined) store.delete(key)
            else store.put(value, key)
          end(true)
        }
        // Requests are answered in their order.
        const last = guarded.at(-1)
        if (last) last.found.onsuccess = put
        else put()
      }),
    persist: async (ask) => {
      const manager = host.navigator?.storage
      return (await (ask ? manager?.persist() : manager?.persisted())) ?? false
    },
  }
}
