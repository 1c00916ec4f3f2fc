/** Limits how many passwords are hashed at once. Those who wait are queued by address, and addresses alternate. */
import { availableParallelism } from "node:os"
import { unavailable } from "../http/problem.ts"

/**
 * Hashing takes 19 MiB of memory and a core for about 20 ms. There are two slots for each core, because
 * an attempt also keeps its slot while the database counts it. They must be fewer than the failed
 * logins that an account may have: then a burst of attempts is counted before any of them succeeds.
 */
const SLOTS = Math.min(availableParallelism() * 2, 8)
/** One or two seconds of work. */
const ADDRESS_QUEUE_LIMIT = 100
const TOTAL_LIMIT = 1_000
/** Below the 30 s after which an idle connection is closed: the client gets an answer before that. */
const WAIT_LIMIT_MS = 20_000

type Client = {
  address: string
  /** Aborted when the client has left. */
  signal: AbortSignal
}

type Waiter = { start: () => void; refuse: (reason: unknown) => void; since: number }

const full = () => unavailable("Too many logins at once", 5)
const left = () => unavailable("The client has left")

/** A queue for each address. The first one of the map is served next. */
const queues = new Map<string, Waiter[]>()
let waiting = 0
let running = 0

const longestQueue = () => {
  let longest: Waiter[] = []
  for (const queue of queues.values()) if (queue.length > longest.length) longest = queue
  return longest
}

/** When everything is full, an address with a shorter queue takes the last place of the longest one. */
const makeRoom = (length: number) => {
  if (waiting < TOTAL_LIMIT) return
  const longest = longestQueue()
  if (longest.length <= length + 1) throw full()
  longest.pop()?.refuse(full())
  waiting--
}

const enqueue = (address: string, waiter: Waiter) => {
  const queue = queues.get(address) ?? []
  if (queue.length >= ADDRESS_QUEUE_LIMIT) throw full()
  makeRoom(queue.length)
  queue.push(waiter)
  queues.set(address, queue)
  waiting++
}

const leave = (address: string, waiter: Waiter) => {
  const queue = queues.get(address) ?? []
  const place = queue.indexOf(waiter)
  if (place === -1) return
  queue.splice(place, 1)
  waiting--
  if (queue.length === 0) queues.delete(address)
  waiter.refuse(left())
}

const dequeue = (): Waiter | undefined => {
  for (const [address, queue] of queues) {
    const waiter = queue.shift()
    // The address goes to the end: all others are served before it is served again.
    queues.delete(address)
    if (queue.length > 0) queues.set(address, queue)
    if (waiter) waiting--
    return waiter
  }
  return undefined
}

/** Slots become free all the time, so that no timer is needed to refuse those who waited too long. */
const release = () => {
  const latest = performance.now() - WAIT_LIMIT_MS
  let next = dequeue()
  for (; next && next.since < latest; next = dequeue()) next.refuse(full())
  if (next) next.start()
  else running--
}

const acquire = async ({ address, signal }: Client) => {
  if (running < SLOTS) {
    running++
    return
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const waiter = { start: resolve, refuse: reject, since: performance.now() }
  enqueue(address, waiter)
  const onLeave = () => leave(address, waiter)
  signal.addEventListener("abort", onLeave, { once: true })
  await promise.finally(() => signal.removeEventListener("abort", onLeave))
}

/**
 * Runs work that hashes a client's password. Throws a 503 at once where too many wait, and does not
 * run it for a client that has left.
 */
export const withHashSlot = async <T>(client: Client, work: () => Promise<T>): Promise<T> => {
  if (client.signal.aborted) throw left()
  await acquire(client)
  try {
    return await work()
  } finally {
    release()
  }
}
