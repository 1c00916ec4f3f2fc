/**
 * Watchers wait for changes in this instance, for streams and for waiting requests.
 *
 * A watcher is notified of commits until it ends, or is closed because its token is no longer valid,
 * because the epoch has changed, or because the service is stopping. Commits of this instance are
 * reported at once. Those of other instances are polled, by one statement for all watched owners,
 * because LISTEN does not work through a pooler in transaction mode.
 */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/sql.ts"
import { tooManyRequests, unavailable } from "../../http/problem.ts"
import { currentRevisions } from "./queries.ts"

const POLL_MS = 1_000
/** Enough for a few tabs on a few devices. */
const WATCHERS_PER_USER = 20
const RETRY_AFTER_SECONDS = 5

export type Watcher = {
  /** The owner's revision, which the watcher may know already. */
  committed(revision: number): void
  /** Called once a second. `now` is by performance.now(). */
  tick(now: number): void
  /** Whether what it knows is of this life of the database. */
  isOf(epoch: string): boolean
  /** Whether its token is still valid. */
  isAuthorized(): boolean | Promise<boolean>
  /** Called when the watcher is closed. */
  closed(): void
}

export const createWatchers = (sql: Sql) => {
  const owners = new Map<number, Set<Watcher>>()
  let isDraining = false

  /** Has to be called after each commit. */
  const committed = (ownerId: number, revision: number) => {
    for (const watcher of owners.get(ownerId) ?? []) watcher.committed(revision)
  }

  const unwatch = (ownerId: number, watcher: Watcher) => {
    const watchers = owners.get(ownerId)
    if (watchers?.delete(watcher) && watchers.size === 0) owners.delete(ownerId)
  }

  const closeUnless = (isOpen: boolean, ownerId: number, watcher: Watcher) => {
    if (isOpen) return
    unwatch(ownerId, watcher)
    watcher.closed()
  }

  const forEach = (work: (ownerId: number, watcher: Watcher) => void) => {
    for (const [ownerId, watchers] of owners) for (const watcher of watchers) work(ownerId, watcher)
  }

  const tick = () => {
    const now = performance.now()
    forEach((ownerId, watcher) => {
      watcher.tick(now)
      const isAuthorized = watcher.isAuthorized()
      if (isAuthorized instanceof Promise)
        isAuthorized.then((isOpen) => closeUnless(isOpen, ownerId, watcher))
      else closeUnless(isAuthorized, ownerId, watcher)
    })
  }

  const poll = async () => {
    tick()
    if (owners.size === 0) return
    const rows = await currentRevisions(sql, [...owners.keys()])
    const epoch = rows[0]?.epoch
    if (epoch !== undefined)
      forEach((ownerId, watcher) => closeUnless(watcher.isOf(epoch), ownerId, watcher))
    for (const { owner_id, revision } of rows) if (owner_id !== null) committed(owner_id, revision)
  }

  return {
    committed,

    /**
     * Watches until it is unwatched or closed. Throws a 429 if the user has too many watchers, and a 503
     * while the service is stopping.
     */
    watch(ownerId: number, watcher: Watcher) {
      if (isDraining) throw unavailable("The service is shutting down")
      const watchers = owners.get(ownerId) ?? new Set()
      if (watchers.size >= WATCHERS_PER_USER)
        throw tooManyRequests("Too many streams and waits of one user", RETRY_AFTER_SECONDS)
      owners.set(ownerId, watchers.add(watcher))
    },
    unwatch,

    count: () => [...owners.values()].reduce((sum, watchers) => sum + watchers.size, 0),

    /** Whether the service is stopping, and therefore closes watchers. */
    isDraining: () => isDraining,

    drain() {
      isDraining = true
      forEach((ownerId, watcher) => closeUnless(false, ownerId, watcher))
    },

    /** Returns the function that stops it. */
    start: (log: Logger) =>
      repeat({
        name: "asking for the changes of other instances",
        everyMs: POLL_MS,
        log,
        work: poll,
      }),
  }
}
export type Watchers = ReturnType<typeof createWatchers>
