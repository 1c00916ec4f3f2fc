/** The replica and the queue of edits, in memory and in the storage, and the listeners to their changes. */
import { createListeners } from "../listeners.ts"
import type { Platform } from "../platform.ts"
import type { Removal } from "../session.ts"
import type { Storage } from "../storage/storage.ts"
import type { Change, Edits, Entry, Notice, Outcome, SyncState } from "./model.ts"
import { createTable, type TableMessage } from "./table.ts"
import { createView, isSame, localId } from "./view.ts"

const replicaPrefix = (userId: number) => `replica:${userId}:`
const queuePrefix = (userId: number) => `queue:${userId}:`
/** Of the values that are no todo's. */
const STATE = "state"
const NOTICES = "notices"
/** How many edits are kept at most while the service cannot be reached, and notices: all may be refused. */
export const LONGEST_QUEUE = 5000
const NONE: readonly Notice[] = []
const NOTHING: SyncState = { token: undefined, isComplete: false, round: 0 }

/** An empty list is not stored. */
const orNone = <Item>(list: readonly Item[]) => (list.length > 0 ? list : undefined)

/** Of the lock of the leader, and of the channel between tabs that understand each other. */
export const liveName = (storage: Storage, userId: number) => `${storage.name}:live:1:${userId}`

/** The keys of what is stored of a user. Edits that are not sent are no part of their replica. */
export const storedKeys = async (storage: Storage, userId: number, what: Removal) => {
  const prefix = queuePrefix(userId)
  const queue = await storage.read(prefix)
  const isWaiting = (value: unknown) =>
    Array.isArray(value) && value.some(({ step }) => step !== "saved")
  const keys = [...(await storage.read(replicaPrefix(userId))).keys()]
  if (what === "queue" || ![...queue.values()].some(isWaiting)) keys.push(...queue.keys())
  return { keys, guard: new Map([[prefix, queue.get(prefix) as string | undefined]]) }
}

export type Connection = {
  /** Whether there is a network, and the service has answered the last request. */
  is_online: boolean
  /** If false, the session has ended, and edits wait for a login. */
  is_logged_in: boolean
}

type QueueValue = Edits | readonly Notice[]
type ReplicaValue = Entry | SyncState
type Message = { values?: unknown; connection?: Connection; ask?: "connection" | "retry" }

export type Store = Awaited<ReturnType<typeof openStore>>

type Given = {
  platform: Platform
  storage: Storage
  userId: number
  signal: AbortSignal
  isLoggedIn: () => boolean
}

export const openStore = async ({ platform, storage, userId, signal, isLoggedIn }: Given) => {
  let connection: Connection = { is_online: platform.isOnline(), is_logged_in: true }
  let isLeader = false
  /** Whether the user has logged out: no edit is accepted until the next login. */
  let isRemoved = false
  const listeners = createListeners()
  const retries = createListeners()
  /** The key of the todo with an id. Of the ids that a todo had before it was saved, too. */
  const keys = new Map<number, string>()
  /** The ids of the replica's todos that have a key of their own. */
  const ids = new Map<string, number>()
  /** How many edits each todo has, and all. */
  const counts = new Map<string, number>()
  let pending = 0
  let order = 0
  let isCalling = false

  /** Once a tick, however many changes there were. */
  const call = () => {
    if (isCalling) return
    isCalling = true
    queueMicrotask(() => {
      isCalling = false
      listeners.call()
    })
  }

  const receive = (message: unknown) => {
    const { values, connection: next, ask } = Object(message) as Message
    if (values instanceof Map)
      for (const table of [replica, queue]) table.receive(message as TableMessage<never>)
    // A leader knows better: without locks two would answer each other for ever.
    if (!isLeader && typeof next?.is_online === "boolean") connected(next)
    if (ask === "connection" && isLeader) channel.post({ connection })
    if (ask === "retry") retries.call()
  }
  const channel = platform.channel(liveName(storage, userId), receive)
  signal.addEventListener("abort", channel.close)
  const table = { platform, storage, channel, signal }

  const replica = createTable<ReplicaValue>({
    ...table,
    prefix: replicaPrefix(userId),
    onChange: (changed) => {
      const names = [...changed]
      for (const name of names) nameEntry(name)
      view.changed(names.flatMap((name) => [name, keyOf(Number(name))]))
      call()
    },
  })
  const queue = createTable<QueueValue>({
    ...table,
    prefix: queuePrefix(userId),
    onChange: (changed) => {
      const changedKeys = [...changed]
      view.changed([...changedKeys, ...nameEdits(changedKeys)])
      call()
    },
  })

  const entryOf = (name: string) =>
    name === STATE ? undefined : (replica.values().get(name) as Entry | undefined)
  const editsOf = (key: string): Edits =>
    key === NOTICES ? [] : ((queue.values().get(key) as Edits | undefined) ?? [])

  const allEdits = () =>
    [...queue.values()].filter(([key]) => key !== NOTICES) as readonly [string, Edits][]

  const everyEdit = () => allEdits().flatMap(([, edits]) => edits)

  /** Remembers the key of a todo of the replica. */
  const nameEntry = (name: string) => {
    const { key } = entryOf(name) ?? {}
    if (!key) return
    for (const id of [Number(name), localId(key)]) keys.set(id, key)
    ids.set(key, Number(name))
  }
  /** Returns the keys until now of the todos that may have got another one by that. */
  const nameEdits = (changed: Iterable<string>) => {
    const named = new Set<string>()
    for (const key of changed) {
      const edits = editsOf(key)
      pending += edits.length - (counts.get(key) ?? 0)
      counts.set(key, edits.length)
      for (const edit of edits) {
        named.add(keyOf(edit.id))
        keys.set(edit.id, key)
        if (edit.id > 0) ids.set(key, edit.id)
        order = Math.max(order, edit.order)
      }
    }
    return named
  }

  // Another leader may have fetched a created todo before it was known which create made it.
  const view = createView((key) => {
    const entry = entryOf(String(idOf(key)))
    return [keyOf(idOf(key)) === key ? entry : undefined, editsOf(key)]
  })
  const idOf = (key: string) => ids.get(key) ?? Number(key)
  const keyOf = (id: number) => keys.get(id) ?? String(id)

  const connected = (next: Connection) => {
    if (isSame(next, connection)) return
    connection = next
    if (isLeader) channel.post({ connection })
    call()
  }

  /** Where the storage fails, it has at most what was being stored at that moment. */
  const clear = async (what: Removal, isKept: () => Promise<boolean>) => {
    isRemoved = true
    await Promise.allSettled([
      replica.clear(isKept),
      what === "queue" ? queue.clear(isKept) : queue.load(),
    ])
  }

  const notices = () => (queue.values().get(NOTICES) ?? NONE) as readonly Notice[]
  const syncState = () => (replica.values().get(STATE) ?? NOTHING) as SyncState

  await Promise.all([replica.load(), queue.load()])
  channel.post({ ask: "connection" })

  return {
    keyOf: (key: string | number) => (typeof key === "number" ? keyOf(key) : key),
    idOf,
    entryOf: (key: string) => entryOf(String(idOf(key))),
    editsOf,
    allEdits,
    unsent: () => everyEdit().filter(({ step }) => step !== "saved").length,
    everyEdit,
    get: view.get,
    list: view.list,
    pending: () => pending,
    nextOrder: () => ++order,
    notices,
    isStored: queue.isStored,
    isRemoved: () => isRemoved && !isLoggedIn(),
    loadQueue: queue.load,

    syncState,

    /** Changes the replica, unless it is another one than that of the token. `isLast`: of a round. */
    replace: (
      token: string | undefined,
      state: SyncState,
      changes: readonly Change[],
      isLast = false,
    ) =>
      replica.change((set) => {
        if (syncState().token !== token || !isLoggedIn()) return
        for (const { id, todo, etag } of changes) {
          const [name, own] = [String(id), keyOf(id)]
          const key = own === name ? undefined : own
          const version = todo && etag && { todo, etag }
          set(name, version || key ? { ...version, key, round: state.round } : undefined)
        }
        if (isLast && state.round > 0)
          for (const [name, value] of [...replica.values()])
            if (value.round < state.round && name !== STATE) set(name, undefined)
        set(STATE, state)
      }),

    /** Changes the edits of todos. */
    edit: (run: (settle: (key: string, ...outcome: Outcome) => void) => void) =>
      queue.change((set) => {
        run((key, edits, told = []) => {
          set(key, orNone(edits))
          if (told.length > 0) set(NOTICES, [...notices(), ...told].slice(-LONGEST_QUEUE))
        })
      }),

    dismiss: (key: string) =>
      queue.change((set) => {
        set(NOTICES, orNone(notices().filter((notice) => notice.key !== key)))
      }),

    clear,
    connection: () => connection,
    connected,
    leads: (next: boolean) => {
      isLeader = next
      if (next) channel.post({ connection })
    },
    subscribe: listeners.add,
    changed: call,
    onRetry: retries.add,
    retry: () => {
      retries.call()
      channel.post({ ask: "retry" })
    },
  }
}

/** The edits that may be sent next, in order: the first of each todo that is not saved. */
export const nextOperations = (all: readonly [string, Edits][], size: number) => {
  const next = all.flatMap(([key, edits]) => {
    const first = edits.find(({ step }) => step !== "saved")
    return first ? [[key, first] as const] : []
  })
  return next.sort(([, a], [, b]) => a.order - b.order).slice(0, size)
}
