/** A bounded cache of two generations. When the younger one is full, the older one is dropped as a whole. */
export const createCache = <T>(limit: number) => {
  let young = new Map<string, T>()
  let old = new Map<string, T>()

  const set = (key: string, value: T) => {
    if (young.size >= limit / 2) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }

  return {
    get(key: string): T | undefined {
      const found = young.get(key)
      if (found !== undefined) return found
      const kept = old.get(key)
      if (kept !== undefined) set(key, kept)
      return kept
    },
    set,
    get size() {
      return young.size + old.size
    },
  }
}
