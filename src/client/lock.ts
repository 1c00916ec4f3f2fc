/**
 * A lock that tabs share, and whose holder proves that it runs. A tab is
 *   waiting  until the browser gives it the lock, or until it has heard nothing of the holder for too
 *            long: then it steals the lock, because JavaScript has stopped there (a suspended tab);
 *   holding  it posts a beat every second;
 *   lost     once another has stolen it. A tab that was suspended hears of it when it wakes.
 * A waiter counts its own seconds without a beat: after its own suspension it counts one.
 */
import { abortedBy, type Held, type Platform } from "./platform.ts"

const BEAT = 1_000
/** With some jitter, so that two waiters do not steal from each other. */
const MISSED = 2

export const withLock = async <T>(
  platform: Platform,
  name: string,
  signal: AbortSignal | undefined,
  run: (held: Held) => Promise<T>,
): Promise<T> => {
  let missed = 0
  let isHolding = false
  const ended = new AbortController()
  const channel = platform.channel(`${name}:beat`, () => {
    missed = 0
  })
  const hold = async (held: Held) => {
    isHolding = true
    const over = abortedBy(ended.signal, held.lost)
    const beat = async () => {
      while (!over.signal.aborted) {
        channel.post("")
        await platform.sleep(BEAT, over.signal)
      }
    }
    beat()
    try {
      return await run(held)
    } finally {
      // The beats end with it.
      ended.abort()
      over.abort()
    }
  }
  const waiting = abortedBy(signal)
  const listen = async () => {
    while (!isHolding && !ended.signal.aborted) {
      await platform.sleep(BEAT * (1 + 0.3 * platform.random()), ended.signal)
      if (++missed > MISSED && !isHolding) return waiting.abort()
    }
  }
  listen()
  try {
    return await platform.lock(name, { signal: waiting.signal }, hold).catch((error) => {
      if (isHolding || signal?.aborted || !waiting.signal.aborted) throw error
      return platform.lock(name, { signal, steal: true }, hold)
    })
  } finally {
    ended.abort()
    waiting.abort()
    channel.close()
  }
}
