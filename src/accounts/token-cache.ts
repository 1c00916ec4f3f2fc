/** A bounded map of tokens that were judged before: two generations, the older one is dropped whole. */
export const createTokenCache = <T>(limit: number) => {
  let young = new Map<string, T>()
  let old = new Map<string, T>()

  const set = (token: string, value: T) => {
    if (young.size >= limit / 2) {
      old = young
      young = new Map()
    }
    young.set(token, value)
  }

  return {
    get(token: string): T | undefined {
      const found = young.get(token)
      if (found !== undefined) return found
      const kept = old.get(token)
      if (kept !== undefined) set(token, kept)
      return kept
    },
    set,
  }
}
