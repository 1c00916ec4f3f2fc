/** Searches are slow work: two of a user may be under way, and the others wait for their turn. */
import { Problem } from "../../errors.ts"

const AT_ONCE = 2
const WAITING_LIMIT = 100
const PATIENCE_MS = 5_000

type Line = { running: number; waiting: (() => void)[] }

const tooManySearches = () =>
  new Problem("TOO_MANY_REQUESTS", "Too many searches at once; wait until some have ended", {
    headers: { "retry-after": "1" },
  })

/** What `search` resolves to, once it is the user's turn. */
export type SearchTurns = <Result>(
  userId: number,
  search: () => Promise<Result>,
  /** A list whose beginning has been sent waits for as long as it takes. */
  isBegun?: boolean,
) => Promise<Result>

export const createSearchTurns = (): SearchTurns => {
  const lines = new Map<number, Line>()

  const waitIn = ({ waiting }: Line, isBegun: boolean) =>
    new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        waiting.splice(waiting.indexOf(enter), 1)
        reject(tooManySearches())
      }
      const timer = isBegun ? undefined : setTimeout(giveUp, PATIENCE_MS)
      const enter = () => {
        clearTimeout(timer)
        resolve()
      }
      waiting.push(enter)
    })

  return async (userId, search, isBegun = false) => {
    const line = lines.getOrInsertComputed(userId, () => ({ running: 0, waiting: [] }))
    if (line.running < AT_ONCE) line.running++
    else if (isBegun || line.waiting.length < WAITING_LIMIT) await waitIn(line, isBegun)
    else throw tooManySearches()
    try {
      return await search()
    } finally {
      // Whoever waited longest takes the place that becomes free.
      const next = line.waiting.shift()
      if (next) next()
      else if (--line.running === 0) lines.delete(userId)
    }
  }
}
