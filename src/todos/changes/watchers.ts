/**
 * Watchers wait for changes in this instance, for streams and for waiting requests.
 *
 * A watcher is told about commits until it ends, or is closed because its token is no longer good,
 * because the states from before are refused, or because the service is stopping. Commits of this
 * instance are told at once. Those of other instances are polled, by one statement for all watched
 * owners, because LISTEN does not work through a pooler in transaction mode.
 */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/connect.ts"
import { Problem, unavailable } from "../../http/problem.ts"
import type { Commits } from "./commits.ts"
import { currentRevisions } from "./queries.ts"

const POLL_MS = 1_000
/** Enough for a few tabs on a few devices. */
const WATCHERS_PER_USER = 20
/** Seconds. */
const RETRY_AFTER = 5

export type Watcher = {
  /** The owner's revision, which the watcher may know already. */
  changed(revision: number): void
  /** Called once a second. `now` is by performance.now(). */
  tick(now: number): void
  /** Whether what it knows is of this life of the database. */
  isOf(epoch: string): boolean
  /** Whether its token is still good. */
  isAuthorized(): boolean | Promise<boolean>
  /** Called when the watcher is closed. */
  closed(): void
}

type Owner = { revision: number; watchers: Set<Watcher> }

export const createWatchers = (sql: Sql, commits: Commits) => {
  const owners = new Map<number, Owner>()
  let isDraining = false

  const tell = (ownerId: number, revision: number) => {
    const owner = owners.get(ownerId)
    if (!owner || revision <= owner.revision) return
    owner.revision = revision
    for (const watcher of owner.watchers) watcher.changed(revision)
  }

  const remove = (ownerId: number, watcher: Watcher) => {
    const owner = owners.get(ownerId)
    if (!owner?.watchers.delete(watcher)) return
    if (owner.watchers.size === 0) owners.delete(ownerId)
  }

  const close = (ownerId: number, watcher: Watcher) => {
    remove(ownerId, watcher)
    watcher.closed()
  }

  const closeUnless = (isAuthorized: boolean, ownerId: number, watcher: Watcher) => {
    if (!isAuthorized) close(ownerId, watcher)
  }

  const tick = () => {
    const now = performance.now()
    for (const [ownerId, { watchers }] of owners)
      for (const watcher of watchers) {
        watcher.tick(now)
        const isAuthorized = watcher.isAuthorized()
        if (isAuthorized instanceof Promise)
          isAuthorized.then((answer) => closeUnless(answer, ownerId, watcher))
        else closeUnless(isAuthorized, ownerId, watcher)
      }
  }

  const closeWhere = (isOver: (watcher: Watcher) => boolean) => {
    for (const [ownerId, { watchers }] of owners)
      for (const watcher of watchers) if (isOver(watcher)) close(ownerId, watcher)
  }

  const poll = async () => {
    tick()
    if (owners.size === 0) return
    const rows = await currentRevisions(sql, [...owners.keys()])
    const epoch = rows[0]?.epoch
    closeWhere((watcher) => epoch !== undefined && !watcher.isOf(epoch))
    for (const { owner_id, revision } of rows) if (owner_id !== null) tell(owner_id, revision)
  }

  return {
    /**
     * Watches until it is unwatched or closed. Throws a 429 if the user has too many watchers, and a 503
     * while the service is stopping.
     */
    watch(ownerId: number, watcher: Watcher) {
      if (isDraining) throw unavailable("The service is shutting down")
      const owner = owners.get(ownerId) ?? { revision: 0, watchers: new Set() }
      if (owner.watchers.size >= WATCHERS_PER_USER)
        throw new Problem("TOO_MANY_REQUESTS", "Too many streams and waits of one user", {
          headers: { "retry-after": String(RETRY_AFTER) },
        })
      owners.set(ownerId, owner)
      owner.watchers.add(watcher)
    },
    unwatch: remove,

    /** Whether the service is stopping, and therefore closes watchers. */
    isDraining: () => isDraining,

    drain() {
      isDraining = true
      closeWhere(() => true)
    },

    /** Returns the function that stops it. */
    follow(log: Logger) {
      const unfollow = commits.follow(tell)
      const stopPolling = repeat({
        name: "asking for the changes of other instances",
        everyMs: POLL_MS,
        log,
        work: poll,
      })
      return async () => {
        unfollow()
        await stopPolling()
      }
    },
  }
}
export type Watchers = ReturnType<typeof createWatchers>
