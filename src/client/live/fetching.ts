/** Fetches changes, and applies them to the copy. */
import { ApiError } from "../errors.ts"
import type { Http } from "../http.ts"
import type { Platform } from "../platform.ts"
import type { Authorized } from "../session.ts"
import type { Changes } from "./model.ts"
import { savedKeys } from "./queue.ts"
import type { Store } from "./store.ts"

/** How many seconds the service may wait for a change before it answers (long polling). */
const WAIT = 30
const TIMEOUT = 2000 * WAIT
/** The mean interval between requests if the answers do not wait. */
const POLL = 10_000

const pathSince = (since: string | undefined) =>
  `/api/v1/todos/changes?limit=1000${since === undefined ? "" : `&since=${encodeURIComponent(since)}`}`

/** Whether the state is refused: it has expired (410), or its signing key is unknown (400). */
const isLost = (error: unknown) =>
  error instanceof ApiError && (error.status === 410 || error.status === 400)

type Deps = { platform: Platform; http: Http; store: Store; authorized: Authorized }
type Preference = { prefer?: string }

export const createFetcher = ({ platform, http, store, authorized }: Deps) => {
  /** Repeated if there is no preference, so that one lost answer does not lose the pages before. */
  const page = async (
    since: string | undefined,
    preference: Preference | undefined,
    signal: AbortSignal,
  ) => {
    const outgoing = { method: "GET", path: pathSince(since), signal }
    const { data } = await authorized((headers) =>
      preference
        ? http.once({ ...outgoing, headers: { ...headers, ...preference } }, TIMEOUT)
        : http.repeatedly({ ...outgoing, headers }, true),
    )
    return data as Changes
  }

  /**
   * Fetches pages until the copy is in sync. Returns whether anything was new. `preference` applies
   * to the first page.
   */
  const pull = async (signal: AbortSignal, preference: Preference = {}): Promise<boolean> => {
    const saved = savedKeys(store.queue())
    const copy = store.copy()
    let since = copy.state
    let entries = new Map(since === undefined ? [] : copy.entries)
    for (let asks: Preference | undefined = preference; ; asks = undefined) {
      try {
        const { changes, next, has_more } = await page(since, asks, signal)
        for (const { id, etag, todo } of changes)
          if (todo && etag !== null) entries.set(id, { todo, etag })
          else entries.delete(id)
        since = next
        if (has_more) continue
        const isNew = next !== copy.state
        if (isNew || saved.size > 0) await store.replace({ state: next, entries }, saved)
        return isNew
      } catch (error) {
        if (!isLost(error) || since === undefined) throw error
        since = undefined
        entries = new Map()
      }
    }
  }

  /** Long polling, or polling at intervals where the answers do not wait, either. */
  const poll = async (signal: AbortSignal) => {
    const started = performance.now()
    const isNew = await pull(signal, { prefer: `wait=${WAIT}` })
    const waited = performance.now() - started
    if (!isNew) await platform.sleep((0.5 + platform.random()) * POLL - waited, signal)
  }

  return { pull, poll }
}
