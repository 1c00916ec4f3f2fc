/**
 * The simulated clock. It runs faster than real time, but stands still while the service works, so
 * that a slow machine does not look like a network that loses requests.
 */

/** Half a minute for the clients takes 0.6 s of real time. */
const HASTE = 50

type Timer = { due: number; end: () => void }

export const createClock = () => {
  const timers = new Set<Timer>()
  let working = 0
  let passed = 0
  let since = performance.now()
  let wake: ReturnType<typeof setTimeout> | undefined

  const next = () => Math.min(...[...timers].map(({ due }) => due))
  /** Never later than the next timer, however slow the machine is. */
  const now = () =>
    working > 0 ? passed : Math.min(passed + (performance.now() - since) * HASTE, next())

  const run = () => {
    clearTimeout(wake)
    since = performance.now()
    if (working === 0 && timers.size > 0) wake = setTimeout(fire, (next() - passed) / HASTE)
  }
  const fire = () => {
    passed = next()
    for (const timer of [...timers]) if (timer.due <= passed) timer.end()
    run()
  }

  return {
    now,

    /** Resolves early, without an error, when the signal aborts. */
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve()
        passed = now()
        const end = () => {
          timers.delete(timer)
          signal?.removeEventListener("abort", end)
          resolve()
        }
        const timer: Timer = { due: passed + Math.max(0, milliseconds), end }
        timers.add(timer)
        signal?.addEventListener("abort", end)
        run()
      }),

    /** The clock stands still until the work is done. */
    during: async <T>(work: Promise<T>): Promise<T> => {
      passed = now()
      working++
      run()
      try {
        return await work
      } finally {
        working--
        run()
      }
    },
  }
}

export type Clock = ReturnType<typeof createClock>
