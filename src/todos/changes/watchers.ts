/**
 * Watchers wait for changes in this instance, for streams and for waiting requests.
 *
 * A watcher is notified of commits until it ends, or is closed because its token is no longer valid,
 * because the epoch has changed, or because the service is stopping. Commits of this instance are
 * reported at once. Those of other instances are polled, by one statement for all owners that have watchers,
 * because LISTEN does not work through a pooler in transaction mode.
 */
import type { Logger } from "pino"
import { repeat } from "../../concurrency/repeat.ts"
import type { Sql } from "../../database/sql.ts"
import type { AnyCaller } from "../../http/guard.ts"
import { tooManyRequests, unavailable } from "../../http/problem.ts"
import { currentRevisions } from "./queries.ts"

const POLL_MS = 1_000
/** Enough for a few tabs on a few devices. */
const WATCHERS_PER_USER = 20
const RETRY_AFTER_SECONDS = 5

export type Watcher = {
  caller: Pick<AnyCaller, "userId" | "isStillValid">
  /** Of what it knows, if it knows anything yet. */
  epoch: string | undefined
  /** The owner's revision, which the watcher may know already. */
  committed(revision: number): void
  /** Called once a second. `now` is by performance.now(). */
  tick(now: number): void
  closed(): void
}

export const createWatchers = (sql: Sql) => {
  const owners = new Map<number, Set<Watcher>>()
  let isDraining = false

  /** Has to be called after each commit. */
  const committed = (ownerId: number, revision: number) => {
    for (const watcher of owners.get(ownerId) ?? []) watcher.committed(revision)
  }

  const unwatch = (watcher: Watcher) => {
    const { userId } = watcher.caller
    const watchers = owners.get(userId)
    if (watchers?.delete(watcher) && watchers.size === 0) owners.delete(userId)
  }

  const closeUnless = (isOpen: boolean, watcher: Watcher) => {
    if (isOpen) return
    unwatch(watcher)
    watcher.closed()
  }

  const all = () => [...owners.values()].flatMap((watchers) => [...watchers])

  const poll = async () => {
    const now = performance.now()
    for (const watcher of all()) {
      watcher.tick(now)
      const isValid = watcher.caller.isStillValid()
      if (isValid instanceof Promise) isValid.then((isOpen) => closeUnless(isOpen, watcher))
      else closeUnless(isValid, watcher)
    }
    if (owners.size === 0) return
    // Whoever learns something meanwhile may know what is younger: the next poll is for them.
    const informed = all().filter(({ epoch }) => epoch !== undefined)
    const rows = await currentRevisions(sql, [...owners.keys()])
    const epoch = rows[0]?.epoch
    const revisions = new Map(rows.map(({ owner_id, revision }) => [owner_id, revision]))
    for (const watcher of informed) {
      const { userId } = watcher.caller
      if (!owners.get(userId)?.has(watcher)) continue
      if (watcher.epoch === epoch) watcher.committed(revisions.get(userId) ?? 0)
      else closeUnless(false, watcher)
    }
  }

  return {
    committed,

    /**
     * Watches until it is unwatched or closed. Throws a 429 if the user has too many watchers, and a 503
     * while the service is stopping.
     */
    watch(watcher: Watcher) {
      if (isDraining) throw unavailable("The service is shutting down")
      const { userId } = watcher.caller
      const watchers = owners.get(userId) ?? new Set()
      if (watchers.size >= WATCHERS_PER_USER)
        throw tooManyRequests("Too many streams and waits of one user", RETRY_AFTER_SECONDS)
      owners.set(userId, watchers.add(watcher))
    },
    unwatch,

    count: () => all().length,

    /** Whether the service is stopping, and therefore closes watchers. */
    isDraining: () => isDraining,

    drain() {
      isDraining = true
      for (const watcher of all()) closeUnless(false, watcher)
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
