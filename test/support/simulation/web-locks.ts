/** Web Locks, of the tabs of one simulated browser: another tab may steal one. */
import { type Lock, orAborted } from "../../../src/client/platform.ts"

export const createWebLocks = (): Lock => {
  /** `free`: the holder has ended, or another has stolen the lock. */
  const holders = new Map<string, { lost: AbortController; free: Promise<void> }>()
  return async (name, { signal, steal = false }, run) => {
    // In the order in which they came: who wakes first has it before the others look.
    for (let held = holders.get(name); held && !steal; held = holders.get(name))
      await orAborted(held.free, signal)
    signal?.throwIfAborted()
    holders.get(name)?.lost.abort()
    const lost = new AbortController()
    const done = run({ lost: lost.signal, isHeld: async () => !lost.signal.aborted })
    const end = () => {
      if (holders.get(name) === mine) holders.delete(name)
    }
    const mine = { lost, free: orAborted(done, lost.signal).then(end, end) }
    holders.set(name, mine)
    return done
  }
}
