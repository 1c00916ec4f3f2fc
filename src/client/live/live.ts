/** A copy of the user's todos that is in step by itself, and takes edits whether online or not. */
import type { NewTodo, Sort, TodoChanges } from "../calls.ts"
import { ApiError } from "../errors.ts"
import { randomKey } from "../platform.ts"
import type { Storage } from "../storage/storage.ts"
import { type LeaderDeps, lead } from "./leader.ts"
import { type LiveTodo, membersOf, type Notice, type Operation, pick } from "./model.ts"
import { idOf, shownVersion } from "./queue.ts"
import { type Connection, openStore } from "./store.ts"
import { type Filter, listed } from "./view.ts"

/** `pending`: edits that are not confirmed. */
export type Status = Connection & { pending: number }

export interface Live {
  /** Calls back after every change of what the other functions return. */
  subscribe(listener: () => void): () => void
  /** By the id from before it was saved, too. */
  get(id: number): LiveTodo | undefined
  /** The same array until something in it changes. */
  list(filter?: Filter, sort?: Sort): readonly LiveTodo[]
  /**
   * Shown at once; resolves when it is stored on this device, and rejects with QUEUE_FULL where
   * 5,000 edits wait already. The id is below zero until saved.
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

/** That are remembered, by filter and sort. */
const LISTS = 20

/** Below zero, and in no order: the tabs know nothing of each other's. */
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
  const store = await openStore(platform, storage, userId)
  const end = new AbortController()
  const name = `${storage.name}:live:${userId}`
  // Rejects when it is closed while another tab leads.
  platform.lock(name, end.signal, () => lead({ ...given, store }, end.signal)).catch(() => {})

  const lists = new Map<string, { of: unknown; list: readonly LiveTodo[] }>()
  let known: Status | undefined

  /** The array of before where nothing in it has changed: who renders it need not. */
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
    // Somebody types what is sought: the oldest go, but for those of this moment.
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
