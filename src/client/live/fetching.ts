/** Fetches changes, and applies them to the replica, page by page. */
import { ApiError, isUnanswered, unexpected } from "../errors.ts"
import type { Http } from "../http.ts"
import type { Platform } from "../platform.ts"
import type { Authorized } from "../session.ts"
import { checked, isChanges } from "../shapes.ts"
import type { Store } from "./store.ts"

/** How many seconds the service may wait for a change before it answers (long polling). */
const WAIT = 30
/** How long nothing may arrive. */
const SILENCE = 10_000
/** The mean interval between requests if the answers do not wait. */
const POLL = 10_000
/** A page has as many changes as arrive in this time: what has arrived is kept. */
const PAGE_TIME = 2_000
/** Before it goes on from what another has stored. */
const PAUSE = 1_000
const SMALLEST = 10
const FIRST = 100
const LARGEST = 1000

/** Whether the sync token is refused: it has expired (410), or its signing key is unknown (400). */
const isLost = (error: unknown) =>
  error instanceof ApiError && !isUnanswered(error) && [400, 410].includes(error.status)

type Deps = { platform: Platform; http: Http; store: Store; authorized: Authorized }
type Preference = { prefer?: string }

export const createFetcher = ({ platform, http, store, authorized }: Deps) => {
  let limit = FIRST
  const page = async (since: string | undefined, asks: Preference, signal: AbortSignal) => {
    const token = since === undefined ? "" : `&since=${encodeURIComponent(since)}`
    const path = `/api/v1/todos/changes?limit=${limit}${token}`
    const outgoing = { method: "GET", path, signal, isBackground: true }
    const started = platform.elapsed()
    const adjust = (time: number) => {
      limit = Math.round(Math.max(SMALLEST, Math.min(LARGEST, limit * time)))
    }
    try {
      const { data } = await authorized((headers) =>
        http.once(
          { ...outgoing, headers: { ...headers, ...asks } },
          asks.prefer ? SILENCE + 1000 * WAIT : SILENCE,
        ),
      )
      const changes = checked(data, isChanges)
      if (changes.has_more && changes.next === since) throw unexpected()
      if (changes.has_more)
        adjust(Math.min(4, PAGE_TIME / Math.max(1, platform.elapsed() - started)))
      return changes
    } catch (error) {
      if (error instanceof ApiError && error.status === 0 && !asks.prefer) adjust(0.5)
      throw error
    }
  }

  /** The edits whose results every fetch that begins now contains. */
  const savedKeys = () => {
    const saved = store.everyEdit().filter(({ step }) => step === "saved")
    return new Set(saved.map(({ key }) => key))
  }
  const forget = (saved: ReadonlySet<string>) =>
    store.edit((set) => {
      for (const [key, edits] of store.allEdits()) {
        const left = edits.filter((edit) => !saved.has(edit.key))
        if (left.length < edits.length) set(key, left)
      }
    })

  /**
   * Fetches pages until the replica is in sync. Returns whether anything was new. `preference` applies
   * to the first page.
   */
  const pull = async (signal: AbortSignal, preference: Preference = {}): Promise<boolean> => {
    const saved = savedKeys()
    const before = store.syncState().token
    for (let asks = preference; ; asks = {}) {
      const { token, isComplete, round } = store.syncState()
      try {
        const { next, has_more, changes } = await page(token, asks, signal)
        if (next !== token || !isComplete) {
          const state = { token: next, isComplete: isComplete || !has_more, round }
          await store.replace(token, state, changes, !has_more)
        }
        // What is stored is another replica, of another leader, or none: the browser has removed it.
        if (store.syncState().token !== next) await platform.sleep(PAUSE, signal)
        else if (!has_more) {
          await forget(saved)
          return next !== before
        }
      } catch (error) {
        if (!isLost(error) || token === undefined) throw error
        await store.replace(token, { token: undefined, isComplete, round: round + 1 }, [])
      }
    }
  }

  /** Long polling, or polling at intervals where the answers do not wait, either. */
  const poll = async (signal: AbortSignal) => {
    const started = platform.elapsed()
    const isNew = await pull(signal, { prefer: `wait=${WAIT}` })
    const waited = platform.elapsed() - started
    if (!isNew) await platform.sleep((0.5 + platform.random()) * POLL - waited, signal)
  }

  return { pull, poll }
}
