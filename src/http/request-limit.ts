/**
 * REQUESTS_PER_MINUTE: limits the requests of each user, and says so by the headers of
 * draft-ietf-httpapi-ratelimit-headers. Each instance counts by itself, because a shared count would
 * cost a statement for every request.
 */

import { createCache } from "../concurrency/cache.ts"
import type { AnyCaller, Authenticate } from "./guard.ts"
import { tooManyRequests } from "./problem.ts"

const WINDOW_SECONDS = 60
/** Users. One who is dropped from the cache starts a new minute. */
const CACHE_LIMIT = 100_000

/** Begins with the user's first request, at `startedAt` (performance.now). */
type Minute = { requests: number; startedAt: number }

/** Counts the requests of each authenticated caller. */
export const limitRequests = <Caller extends AnyCaller>(
  authenticate: Authenticate<Caller>,
  max: number | undefined,
): Authenticate<Caller> => {
  if (max === undefined) return authenticate
  const minutes = createCache<Minute>(CACHE_LIMIT)

  return async (authorization, headers) => {
    const caller = await authenticate(authorization, headers)
    const key = String(caller.userId)
    const now = performance.now()
    let minute = minutes.get(key)
    if (!minute || now - minute.startedAt >= WINDOW_SECONDS * 1_000) {
      minute = { requests: 0, startedAt: now }
      minutes.set(key, minute)
    }
    minute.requests++
    const secondsLeft = WINDOW_SECONDS - Math.floor((now - minute.startedAt) / 1_000)
    headers["ratelimit-policy"] = `"default";q=${max};w=${WINDOW_SECONDS}`
    headers["ratelimit"] = `"default";r=${Math.max(0, max - minute.requests)};t=${secondsLeft}`
    if (minute.requests > max)
      throw tooManyRequests(`At most ${max} requests a minute; try again later`, secondsLeft)
    return caller
  }
}
