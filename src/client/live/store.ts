/** The copy and the queue, in memory and in the storage, and the listeners to their changes. */
import { ApiError } from "../errors.ts"
import { createListeners } from "../listeners.ts"
import type { Platform } from "../platform.ts"
import type { Session } from "../session.ts"
import type { Storage } from "../storage/storage.ts"
import { type Copy, EMPTY, type Entry, type LiveTodo, type Operation, type Queue } from "./model.ts"
import { enqueue, forget, LONGEST_QUEUE } from "./queue.ts"
import { overlay } from "./view.ts"

const copyKey = (userId: number) => `copy:${userId}`
const queueKey = (userId: number) => `queue:${userId}`

/** Of the lock of the leader, and of the channel between tabs. */
export const liveName = (storage: Storage, userId: number) => `${storage.name}:live:${userId}`

/** Removes the stored copy, also from what open tabs show. */
export const removeCopy = async (platform: Platform, storage: Storage, userId: number) => {
  await storage.update(copyKey(userId), () => undefined)
  const { post, close } = platform.channel(liveName(storage, userId), () => {})
  post("copy")
  close()
}

type StoredCopy = { state?: string; entries: Entry[] }

/** `is_online`: the last request was answered. `is_logged_in`: if false, edits wait for a login. */
export type Connection = { is_online: boolean; is_logged_in: boolean }

export type Store = Awaited<ReturnType<typeof openStore>>

type Given = {
  platform: Platform
  storage: Storage
  session: Pick<Session, "user">
  userId: number
}

export const openStore = async ({ platform, storage, session, userId }: Given) => {
  let copy: Copy = { entries: new Map() }
  let queue: Queue = EMPTY
  /** Edits that are shown while they are being stored. */
  let storing: readonly Operation[] = []
  let connection: Connection = { is_online: platform.isOnline(), is_logged_in: true }
  let shown: ReadonlyMap<number, LiveTodo> | undefined
  const listeners = createListeners()

  const tell = () => {
    shown = undefined
    listeners.call()
  }

  const readCopy = async () => {
    const stored = (await storage.read(copyKey(userId))) as StoredCopy | undefined
    const entries = (stored?.entries ?? []).map((entry) => [entry.todo.id, entry] as const)
    copy = { state: stored?.state, entries: new Map(entries) }
  }
  const readQueue = async () => {
    queue = ((await storage.read(queueKey(userId))) ?? EMPTY) as Queue
  }

  const load = async () => {
    await Promise.all([readCopy(), readQueue()])
    tell()
  }

  const channel = platform.channel(liveName(storage, userId), (message) => {
    // If the read fails, the next message makes up for it.
    if (message === "copy") readCopy().then(tell, () => {})
    else if (message === "queue") readQueue().then(tell, () => {})
    else {
      connection = JSON.parse(message)
      listeners.call()
    }
  })

  const change = async (next: (queue: Queue) => Queue, edit?: Operation) => {
    let changed = queue
    try {
      await storage.update(queueKey(userId), (stored) => {
        changed = next((stored ?? EMPTY) as Queue)
        return changed
      })
      queue = changed
    } finally {
      storing = storing.filter((operation) => operation !== edit)
      tell()
    }
    channel.post("queue")
  }

  /** Shows the edit at once. Resolves when it is stored, so that a reload does not lose it. */
  const edit = (operation: Operation) => {
    if (queue.operations.length + storing.length >= LONGEST_QUEUE) {
      const detail = `${LONGEST_QUEUE} edits wait for the service already`
      throw new ApiError({ error_code: "QUEUE_FULL", status: 0, detail })
    }
    storing = [...storing, operation]
    tell()
    return change((stored) => enqueue(stored, operation), operation)
  }

  /** Removes the saved edits in the same step, so that none is ever shown twice or not at all. */
  const replace = async (next: Copy, saved: ReadonlySet<string>) => {
    copy = next
    queue = forget(queue, saved)
    tell()
    const stored = { state: next.state, entries: [...next.entries.values()] }
    await storage.update(copyKey(userId), () => stored)
    // A log-out closes the session, and then removes the copy: perhaps before this one was stored.
    if ((await session.user())?.id === userId) channel.post("copy")
    else await removeCopy(platform, storage, userId)
    if (saved.size > 0) await change((known) => forget(known, saved))
  }

  await load().catch((error) => {
    channel.close()
    throw error
  })
  return {
    load,
    change,
    edit,
    replace,
    copy: () => copy,
    queue: () => queue,
    withEdits: () => storing.reduce(enqueue, queue),
    shown: () => {
      shown ??= overlay(
        copy,
        storing.reduce(enqueue, queue),
        new Date(platform.now()).toISOString(),
      )
      return shown
    },
    connection: () => connection,
    connected: (next: Connection) => {
      const { is_online, is_logged_in } = connection
      if (next.is_online === is_online && next.is_logged_in === is_logged_in) return
      connection = next
      channel.post(JSON.stringify(next))
      listeners.call()
    },
    subscribe: listeners.add,
    close: () => channel.close(),
  }
}
