/** A local copy of the user's todos, which syncs by itself and accepts edits online and offline. */
import type { NewTodo, Sort, TodoChanges } from "../calls.ts"
import { ApiError } from "../errors.ts"
import { randomKey } from "../platform.ts"
import type { Storage } from "../storage/storage.ts"
import { type LeaderDeps, lead } from "./leader.ts"
import { type LiveTodo, membersOf, type Notice, type Operation, pick } from "./model.ts"
import { idOf, shownVersion } from "./queue.ts"
import { type Connection, liveName, openStore } from "./store.ts"
import { type Filter, listed } from "./view.ts"

/** `pending` is the number of edits that the service has not confirmed, or the copy lacks yet. */
export type Status = Connection & { pending: number }

export interface Live {
  /** Calls the listener after every change of what the other functions return. */
  subscribe(listener: () => void): () => void
  /** Also finds a todo by the id that it had before it was saved. */
  get(id: number): LiveTodo | undefined
  /** Returns the same array until something in it changes. */
  list(filter?: Filter, sort?: Sort): readonly LiveTodo[]
  /**
   * Like every edit, it is shown at once, and resolves when it is stored on this device. It rejects
   * with QUEUE_FULL if 5,000 edits are waiting already. The id is negative until the todo is saved.
   */
  create(todo: NewTodo): Promise<LiveTodo>
  update(id: number, changes: TodoChanges): Promise<void>
  delete(id: number): Promise<void>
  /** Refused edits and conflicts, until they are dismissed. */
  notices(): readonly Notice[]
  dismiss(key: string): Promise<void>
  status(): Status
  close(): void
}

/** How many lists are cached, one for each filter and sort. */
const LISTS = 20

/** Negative, and random, because a tab does not know the ids of other tabs. */
const localId = () => {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2))
  return -(1 + (high % 2 ** 20) * 2 ** 32 + low)
}

const isSame = (a: Status, b: Status | undefined) =>
  a.pending === b?.pending && a.is_online === b.is_online && a.is_logged_in === b.is_logged_in

const noSuchTodo = () =>
  new ApiError({ error_code: "TODO_NOT_FOUND", status: 404, detail: "No such todo here" })

export const openLive = async (
  given: Omit<LeaderDeps, "store"> & { storage: Storage },
): Promise<Live> => {
  const { platform, storage, userId } = given
  const store = await openStore(given)
  const end = new AbortController()
  const name = liveName(storage, userId)
  // Rejects if it is closed while another tab is the leader.
  platform.lock(name, end.signal, () => lead({ ...given, store }, end.signal)).catch(() => {})

  const lists = new Map<string, { of: unknown; list: readonly LiveTodo[] }>()
  let known: Status | undefined

  /** Returns the previous array if nothing in it has changed, so that it is not rendered again. */
  const list = (filter: Filter, sort: Sort) => {
    const key = JSON.stringify([filter.is_completed, filter.q, sort])
    const shown = store.shown()
    const last = lists.get(key)
    if (last?.of === shown) return last.list
    const next = listed(shown.values(), filter, sort)
    const isSameList =
      last?.list.length === next.length && next.every((todo, index) => todo === last.list[index])
    const kept = isSameList ? last.list : next
    lists.delete(key)
    lists.set(key, { of: shown, list: kept })
    // Each key typed into a search adds a list. The oldest are dropped, unless they are up to date.
    for (const [oldest, { of }] of lists)
      if (lists.size > LISTS && of !== shown) lists.delete(oldest)
    return kept
  }

  const get = (id: number) => store.shown().get(idOf(store.queue(), id))
  const existing = (id: number) => {
    const todo = get(id)
    if (!todo) throw noSuchTodo()
    return { todo, etag: shownVersion(store.withEdits(), store.copy(), todo.id) }
  }
  const add = (operation: Operation) => store.edit(operation)

  return {
    subscribe: store.subscribe,
    get,
    list: (filter = {}, sort = "created_at") => list(filter, sort),
    create: async ({ title, description = null, is_completed = false }) => {
      const id = localId()
      const todo = { title, description, is_completed }
      const stored = add({ op: "create", key: randomKey(), id, step: "new", todo })
      const shown = existing(id).todo
      await stored
      return shown
    },
    update: async (id, changes) => {
      const { todo, etag } = existing(id)
      const next = pick(changes, changes)
      const base = pick(todo, next)
      await add({
        op: "update",
        key: randomKey(),
        id: todo.id,
        step: "new",
        etag,
        todo: next,
        base,
      })
    },
    delete: async (id) => {
      const { todo, etag } = existing(id)
      const base = membersOf(todo)
      await add({ op: "delete", key: randomKey(), id: todo.id, step: "new", etag, base })
    },
    notices: () => store.queue().notices,
    dismiss: (key) =>
      store.change((queue) => ({
        ...queue,
        notices: queue.notices.filter((notice) => notice.key !== key),
      })),
    status: () => {
      const next = { ...store.connection(), pending: store.withEdits().operations.length }
      if (!isSame(next, known)) known = next
      return known ?? next
    },
    close: () => {
      end.abort()
      store.close()
    },
  }
}
