/** Whose turn it is to hash a password: a bounded number at once, and addresses take turns. */
import { availableParallelism } from "node:os"
import { unavailable } from "../../errors.ts"

/**
 * Each takes 19 MiB and a core for some 20 ms: more at once would only take more memory. And fewer
 * than the failed logins of an account: a burst of right ones is counted before they turn out so.
 */
const AT_ONCE = Math.min(availableParallelism(), 8)
/** A second or two of work. */
const WAITING_OF_ADDRESS = 100
const WAITING = 1_000
/** Whoever has waited for longer is told to come later: connections that idle for 30 s are closed. */
const WAIT_LIMIT_MS = 20_000

type Client = {
  address: string
  /** Aborted when the client has left. */
  signal: AbortSignal
}

type Waiting = { begin: () => void; refuse: (reason: unknown) => void; since: number }

const full = () => unavailable("Too many logins at once", 5)
const left = () => unavailable("The client has left")

/** A line for each address; the first line of the map is the next to have its turn. */
const lines = new Map<string, Waiting[]>()
let waiting = 0
let running = 0

const longestLine = () => {
  let longest: Waiting[] = []
  for (const line of lines.values()) if (line.length > longest.length) longest = line
  return longest
}

/** When all is full an address that waits for less takes the place of the longest line's last. */
const makeRoom = (length: number) => {
  if (waiting < WAITING) return
  const longest = longestLine()
  if (longest.length <= length + 1) throw full()
  longest.pop()?.refuse(full())
  waiting--
}

const join = (address: string, turn: Waiting) => {
  const line = lines.get(address) ?? []
  if (line.length >= WAITING_OF_ADDRESS) throw full()
  makeRoom(line.length)
  line.push(turn)
  lines.set(address, line)
  waiting++
}

const leave = (address: string, turn: Waiting) => {
  const line = lines.get(address) ?? []
  const place = line.indexOf(turn)
  if (place === -1) return
  line.splice(place, 1)
  waiting--
  if (line.length === 0) lines.delete(address)
  turn.refuse(left())
}

const nextTurn = (): Waiting | undefined => {
  for (const [address, line] of lines) {
    const turn = line.shift()
    lines.delete(address)
    if (line.length > 0) lines.set(address, line)
    if (turn) waiting--
    return turn
  }
  return undefined
}

/** Turns end all the time, so that nobody needs a timer to be refused. */
const endTurn = () => {
  const latest = performance.now() - WAIT_LIMIT_MS
  let next = nextTurn()
  for (; next && next.since < latest; next = nextTurn()) next.refuse(full())
  if (next) next.begin()
  else running--
}

const ownTurn = async ({ address, signal }: Client) => {
  if (running < AT_ONCE) {
    running++
    return
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const turn = { begin: resolve, refuse: reject, since: performance.now() }
  join(address, turn)
  const onLeave = () => leave(address, turn)
  signal.addEventListener("abort", onLeave, { once: true })
  await promise.finally(() => signal.removeEventListener("abort", onLeave))
}

/**
 * Runs work that hashes for a client, when it is its address's turn. Throws a 503 at once where
 * too much is waiting, and drops what waits for a client that has left.
 */
export const inTurn = async <T>(client: Client, work: () => Promise<T>): Promise<T> => {
  if (client.signal.aborted) throw left()
  await ownTurn(client)
  try {
    return await work()
  } finally {
    endTurn()
  }
}
