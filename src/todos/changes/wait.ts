/** `Prefer: wait`: delays the answer until there is something new (RFC 7240, section 4.3). */
import { type ChangesDeps, changesSince } from "./read.ts"
import type { ChangesPage } from "./schemas.ts"
import type { Watcher, Watchers } from "./watchers.ts"

export type WaitDeps = ChangesDeps & { watchers: Watchers }

/** Seconds. */
const WAIT_LIMIT = 60

/** The seconds that a Prefer header asks for, at most WAIT_LIMIT. */
export const preferredWait = (prefer: string | null): number | undefined => {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer ?? "")?.[1]
  return seconds === undefined ? undefined : Math.min(Number(seconds), WAIT_LIMIT)
}

type Waiting = { since: string | undefined; limit: number; seconds: number }

const isNews = ({ changes, has_more }: ChangesPage) => changes.length > 0 || has_more

/** Like `changesSince`, but waits for a change if there is none, for `seconds` at most. */
export const changesAfterWait = async (
  deps: WaitDeps,
  ownerId: number,
  { since, limit, seconds }: Waiting,
  isAuthorized: () => boolean | Promise<boolean>,
  signal: AbortSignal,
): Promise<ChangesPage> => {
  const read = () => changesSince(deps, ownerId, since, limit)
  const before = await read()
  if (since === undefined || seconds === 0 || isNews(before)) return before
  const known = deps.states.read(before.next, ownerId)

  const { promise: isChanged, resolve } = Promise.withResolvers<boolean>()
  const giveUp = () => resolve(false)
  const watcher: Watcher = {
    changed: (revision) => revision > known.revision && resolve(true),
    tick() {},
    isOf: (epoch) => epoch === known.epoch,
    isAuthorized,
    closed: giveUp,
  }
  deps.watchers.watch(ownerId, watcher)
  const timer = setTimeout(giveUp, seconds * 1_000)
  signal.addEventListener("abort", giveUp, { once: true })
  try {
    // Read after watching has begun, so that no commit is missed.
    const meanwhile = await read()
    if (isNews(meanwhile)) return meanwhile
    return (await isChanged) ? await read() : meanwhile
  } finally {
    clearTimeout(timer)
    deps.watchers.unwatch(ownerId, watcher)
  }
}
