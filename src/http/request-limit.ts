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
  const policy = `"default";q=${max};w=${WINDOW_SECONDS}`

  const currentMinute = (userId: number, now: number): Minute => {
    const known = minutes.get(String(userId))
    if (known && now - known.startedAt < WINDOW_SECONDS * 1_000) return known
    const minute = { requests: 0, startedAt: now }
    minutes.set(String(userId), minute)
    return minute
  }

  return async (authorization, headers) => {
    const caller = await authenticate(authorization, headers)
    const now = performance.now()
    const minute = currentMinute(caller.userId, now)
    minute.requests++
    const secondsLeft = WINDOW_SECONDS - Math.floor((now - minute.startedAt) / 1_000)
    headers["ratelimit-policy"] = policy
    headers["ratelimit"] = `"default";r=${Math.max(0, max - minute.requests)};t=${secondsLeft}`
    if (minute.requests > max)
      throw tooManyRequests(`At most ${max} requests a minute; try again later`, secondsLeft)
    return caller
  }
}
