/** `todo-api/client/async-storage`: a storage for React Native, on five functions of AsyncStorage. */
import type { Storage, Stored } from "./storage.ts"

/** Of `@react-native-async-storage/async-storage`, or of anything else that has them. */
export type AsyncStorage = {
  getItem(key: string): Promise<string | null>
  getAllKeys(): Promise<readonly string[]>
  multiGet(keys: string[]): Promise<readonly (readonly [string, string | null])[]>
  multiSet(pairs: [string, string][]): Promise<unknown>
  multiRemove(keys: string[]): Promise<unknown>
}

/** A value that is being removed: written together with the others, and then removed for good. */
const REMOVED = ""
const parse = (text: string | null): Stored =>
  text === null || text === REMOVED ? undefined : JSON.parse(text)

/** A storage for React Native. Its keys begin with the name. */
export const asyncStorage = (items: AsyncStorage, name = "todo-api"): Storage => {
  // One app has one process, so the guard and the write are one step if they run in turn.
  const own = (key: string) => `${name}:${key}`
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run)
    last = next.catch(() => {})
    return next
  }
  const keysOf = async (prefix: string) =>
    (await items.getAllKeys()).filter((key) => key.startsWith(own(prefix)))

  return {
    name,
    read: (prefix) =>
      inTurn(async () => {
        const pairs = await items.multiGet(await keysOf(prefix))
        const values = pairs.map(([key, text]) => [key.slice(own("").length), parse(text)] as const)
        return new Map(values.filter(([, value]) => value !== undefined))
      }),
    write: (values, guard) =>
      inTurn(async () => {
        for (const [key, value] of guard ?? [])
          if (parse(await items.getItem(own(key))) !== value) return false
        const entries = [...values]
        const texts = entries.map(([key, value]): [string, string] => [
          own(key),
          value === undefined ? REMOVED : JSON.stringify(value),
        ])
        await items.multiSet(texts)
        const removed = texts.filter(([, text]) => text === REMOVED).map(([key]) => key)
        if (removed.length > 0) await items.multiRemove(removed)
        return true
      }),
    persist: async () => true,
  }
}
