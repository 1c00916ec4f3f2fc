/** Limits the searches of each user: a few run at once, and the others wait in a queue. */
import { Problem } from "../../http/problem.ts"

const AT_ONCE = 2
const QUEUE_LIMIT = 100
const WAIT_LIMIT_MS = 5_000

type Searches = { running: number; waiting: (() => void)[] }

const tooManySearches = () =>
  new Problem("TOO_MANY_REQUESTS", "Too many searches at once; wait until some have ended", {
    headers: { "retry-after": "1" },
  })

/** Runs `search` as soon as the user has fewer than AT_ONCE running. Throws a 429 after WAIT_LIMIT_MS. */
export type SearchLimiter = <Result>(
  userId: number,
  search: () => Promise<Result>,
  /** The beginning of the list has been sent: there is no limit to how long the rest may wait. */
  isBegun?: boolean,
) => Promise<Result>

export const createSearchLimiter = (): SearchLimiter => {
  const users = new Map<number, Searches>()

  const enqueue = ({ waiting }: Searches, isBegun: boolean) =>
    new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        waiting.splice(waiting.indexOf(start), 1)
        reject(tooManySearches())
      }
      const timer = isBegun ? undefined : setTimeout(giveUp, WAIT_LIMIT_MS)
      const start = () => {
        clearTimeout(timer)
        resolve()
      }
      waiting.push(start)
    })

  return async (userId, search, isBegun = false) => {
    const searches = users.getOrInsertComputed(userId, () => ({ running: 0, waiting: [] }))
    if (searches.running < AT_ONCE) searches.running++
    else if (isBegun || searches.waiting.length < QUEUE_LIMIT) await enqueue(searches, isBegun)
    else throw tooManySearches()
    try {
      return await search()
    } finally {
      // The one that has waited longest takes the place that has become free.
      const next = searches.waiting.shift()
      if (next) next()
      else if (--searches.running === 0) users.delete(userId)
    }
  }
}
