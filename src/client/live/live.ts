/** A replica of the user's todos, which syncs by itself and accepts edits online and offline. */
import type { NewTodo, Sort, Todo, TodoChanges } from "../calls.ts"
import { failed, noSuchTodo, notLoggedIn, storageFailed } from "../errors.ts"
import { withLock } from "../lock.ts"
import { orAborted, randomKey } from "../platform.ts"
import type { Removal } from "../session.ts"
import { checked, isDeletedTodos } from "../shapes.ts"
import type { Storage } from "../storage/storage.ts"
import { append } from "./edits.ts"
import { type LeaderDeps, lead } from "./leader.ts"
import {
  type DeletedTodo,
  type LiveTodo,
  membersOf,
  type Notice,
  namesOf,
  type Operation,
  pick,
} from "./model.ts"
import { type Connection, LONGEST_QUEUE, liveName, openStore } from "./store.ts"
import { validate } from "./validate.ts"
import { type Filter, isSame, localId } from "./view.ts"

/** What an application shows of the state of the replica. */
export interface Status extends Connection {
  /** How many edits the service has not confirmed, or the replica lacks yet. */
  pending: number
  /** Whether this device has had all todos at some time. Until then an empty list says nothing. */
  has_synced: boolean
  /** Whether every edit that is shown is stored here, so that a reload does not lose it. */
  is_stored: boolean
  /** Whether the browser keeps what is stored, however full the device is. */
  is_persistent: boolean
}

/** Restores what was deleted. Resolves when that is stored on this device. */
export type Undo = () => Promise<void>

/** The key of a todo, or its id. The key stays the same when the todo gets its id. */
export type Key = string | number

/** A replica of the user's todos, which syncs by itself and accepts edits online and offline. */
export interface Live {
  /**
   * Calls the listener after changes of what the other functions return, once for all of a tick.
   * Returns what removes the listener.
   */
  subscribe(listener: () => void): () => void
  /** Returns the same object until the todo changes, and undefined if it is not here. */
  get(key: Key): LiveTodo | undefined
  /** Returns the same array until something in it changes. Default sort: `created_at`. */
  list(filter?: Filter, sort?: Sort): readonly LiveTodo[]
  /**
   * Like every edit, it is shown at once, and resolves when it is stored on this device; where the
   * storage is full, when that is known (`is_stored`). It rejects with BAD_REQUEST if the service
   * would refuse it, and with QUEUE_FULL if 5,000 edits are waiting already.
   */
  create(todo: NewTodo): Promise<LiveTodo>
  /** All or none, in this order. */
  createMany(todos: readonly NewTodo[]): Promise<LiveTodo[]>
  /** See `create`. Members that are left out stay. Rejects with TODO_NOT_FOUND if it is not here. */
  update(key: Key, changes: TodoChanges): Promise<void>
  /** The same changes of all of them, or of none. */
  updateMany(keys: readonly Key[], changes: TodoChanges): Promise<void>
  /** Resolves to what undoes it. If the deletion was not sent yet, nothing is sent. */
  delete(key: Key): Promise<Undo>
  /** All or none. Resolves to what restores them all. */
  deleteMany(keys: readonly Key[]): Promise<Undo>
  /** Brings back a deleted todo, from any tab, offline too. */
  restore(key: Key): Promise<void>
  /** Asks the service what can be restored, the latest deletion first. Needs the network. */
  deleted(): Promise<readonly DeletedTodo[]>
  /** Refused edits and conflicts, until they are dismissed. */
  notices(): readonly Notice[]
  /** Removes a notice, by its own `key`. */
  dismiss(key: string): Promise<void>
  /** Returns the same object until something in it changes. */
  status(): Status
  /** Tries at once what waits for the network. */
  retry(): void
  /** Stops its background work for good, as `client.close()` does. The next `live()` opens another. */
  close(): void
}

/** `unsent`: how many edits the service has not answered. `clear`: after a log-out, in any tab. */
export type OpenLive = Live & { unsent(): number; clear(what: Removal): Promise<void> }

type Assigned = "key" | "step" | "order"
/** An edit as it is given. What `Assigned` names is added, but for the key of a create. */
type Draft<O = Operation> = O extends Operation ? Omit<O, Assigned> & { key?: string } : never

export const openLive = async (
  given: Omit<LeaderDeps, "store"> & { storage: Storage; end: AbortController },
): Promise<OpenLive> => {
  const { platform, storage, session, userId, end } = given
  const isLoggedIn = () => session.isOf(userId)
  const opened = openStore({ ...given, signal: end.signal, isLoggedIn })
  const store = await opened.catch(storageFailed)
  let isPersistent = false
  let hasAsked = false
  let known: Status | undefined

  const persist = async (ask: boolean) => {
    isPersistent = (await storage.persist?.(ask)) ?? false
    store.changed()
  }
  persist(false).catch(() => {})

  /** Until it is closed. Another tab may steal the lead, and lose it again. */
  const leadInTurn = async () => {
    const name = liveName(storage, userId)
    while (!end.signal.aborted)
      await withLock(platform, name, end.signal, (held) =>
        lead({ ...given, store }, held, end.signal),
      )
  }
  // Rejects if it is closed while another tab is the leader.
  leadInTurn().catch(() => {})

  const get = (key: Key) => store.get(store.keyOf(key))
  const existing = (key: Key) => {
    const todo = get(key)
    if (!todo) throw noSuchTodo()
    return todo
  }

  /** All are part of one write. */
  const add = async (drafts: readonly (readonly [key: string, draft: Draft])[]) => {
    if (store.isRemoved()) throw notLoggedIn()
    if (store.pending() + drafts.length > LONGEST_QUEUE)
      throw failed("QUEUE_FULL", `At most ${LONGEST_QUEUE} edits wait for the service`)
    const edits = drafts.map(([key, draft]) => {
      const edit = { key: randomKey(), ...draft, step: "new", order: store.nextOrder() }
      return [key, edit as Operation] as const
    })
    const stored = store.edit((set) => {
      for (const [key, edit] of edits) set(key, append(store.editsOf(key), edit))
    })
    if (!hasAsked) persist(true).catch(() => {})
    hasAsked = true
    await stored
  }

  /** What an edit is based on: the todo as it is shown, and the version beneath the open edits. */
  const based = (todo: LiveTodo) => {
    const last = store.editsOf(todo.key).findLast(({ etag }) => etag !== undefined)
    return { id: todo.id, etag: (last ?? store.entryOf(todo.key))?.etag }
  }

  const createMany = async (todos: readonly NewTodo[]) => {
    for (const todo of todos) validate(todo, true)
    const edits = todos.map((todo) => {
      const key = randomKey()
      const members = { todo: membersOf(todo), at: platform.now() }
      return [key, { op: "create", key, id: localId(key), ...members }] as const
    })
    const stored = add(edits)
    const shown = edits.map(([key]) => get(key))
    await stored
    // Each was there as soon as it was added.
    return shown as LiveTodo[]
  }

  const updateMany = async (keys: readonly Key[], changes: TodoChanges) => {
    validate(changes, false)
    const names = namesOf(changes)
    const edits = keys.map(existing).map((todo) => {
      const seen = membersOf(todo)
      const members = { todo: pick(changes, names), base: pick(seen, names), seen }
      return [todo.key, { op: "update", ...based(todo), ...members }] as const
    })
    await add(edits)
  }

  /** What was deleted here, or seen in the trash, and is shown as soon as it is restored. */
  const deleted = new Map<string, Todo>()
  const restoreMany = async (keys: readonly string[]) => {
    const edits = keys.map((key) => {
      const id = deleted.get(key)?.id ?? store.idOf(key)
      if (!(id > 0) && store.editsOf(key).length === 0) throw noSuchTodo()
      return [key, { op: "restore", id, known: deleted.get(key) }] as const
    })
    await add(edits)
  }

  const deleteMany = async (keys: readonly Key[]) => {
    const todos = keys.map(existing)
    const edits = todos.map((todo) => {
      const { key, is_pending: _, ...content } = todo
      deleted.set(key, content)
      const members = { base: membersOf(todo), at: platform.now() }
      return [key, { op: "delete", ...based(todo), ...members }] as const
    })
    await add(edits)
    return () => restoreMany(todos.map(({ key }) => key))
  }

  /** The trash of the service, with what is not sent yet. */
  const readTrash = async () => {
    const path = "/api/v1/todos/deleted"
    const { data } = await session.authorized(
      (headers) => given.http.repeatedly({ method: "GET", path, headers }, true),
      { userId },
    )
    const there = checked(data, isDeletedTodos)
      .map((todo) => ({ ...todo, key: store.keyOf(todo.id) }))
      .filter(({ key }) => !get(key))
    for (const { key, deleted_at: _, ...todo } of there) deleted.set(key, todo)
    const here: DeletedTodo[] = []
    for (const [key, edits] of store.allEdits()) {
      const last = edits.at(-1)
      const content = deleted.get(key) ?? store.entryOf(key)?.todo
      if (last?.op === "delete" && content)
        here.push({ ...content, key, deleted_at: new Date(last.at).toISOString() })
    }
    const all = [...here.reverse(), ...there].map((todo) => [todo.key, todo] as const)
    return [...new Map(all).values()]
  }

  return {
    subscribe: store.subscribe,
    get,
    list: (filter = {}, sort = "created_at") => store.list(filter, sort),
    create: async (todo) => {
      const [created] = await createMany([todo])
      return created as LiveTodo
    },
    createMany,
    // Each awaits once more than its many, so that edits of a tick resolve in their order.
    update: async (key, changes) => {
      await updateMany([key], changes)
    },
    updateMany,
    delete: async (key) => await deleteMany([key]),
    deleteMany,
    restore: (key) => restoreMany([store.keyOf(key)]),
    deleted: readTrash,
    notices: store.notices,
    dismiss: store.dismiss,
    status: () => {
      const next = {
        ...store.connection(),
        pending: store.pending(),
        has_synced: store.syncState().isComplete,
        is_stored: store.isStored() && !(storage.isVolatile && store.pending()),
        is_persistent: isPersistent,
      }
      if (!known || !isSame(next, known)) known = next
      return known
    },
    retry: store.retry,
    unsent: store.unsent,
    clear: (what) => store.clear(what, async () => (await session.user())?.id === userId),
    close: () => end.abort(),
  }
}

/** Resolves when it is true of the replica. */
export const until = (live: Live, isTrue: () => boolean, signal?: AbortSignal) => {
  let stop = () => {}
  const reached = new Promise<void>((resolve) => {
    const look = () => isTrue() && resolve()
    stop = live.subscribe(look)
    look()
  })
  return orAborted(reached, signal).finally(() => stop())
}
