/**
 * The simulated clock. It goes on only when nobody has anything to do: no request is under way, and no
 * promise is left that could settle. One timer fires at a time. So one seed has one history, however
 * fast the machine is.
 */

type Timer = { due: number; end: () => void }

export const createClock = () => {
  const timers = new Set<Timer>()
  let now = 0
  let last: Promise<unknown> = Promise.resolve()
  let working = 0

  /** Runs what promises have to run. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

  const earliest = () => {
    let first: Timer | undefined
    for (const timer of timers) if (!first || timer.due < first.due) first = timer
    return first
  }

  return {
    now: () => now,

    /** Resolves early, without an error, when the signal aborts. */
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve()
        const end = () => {
          timers.delete(timer)
          signal?.removeEventListener("abort", end)
          resolve()
        }
        const timer: Timer = { due: now + Math.max(0, milliseconds), end }
        timers.add(timer)
        signal?.addEventListener("abort", end)
      }),

    /** The clock stands still until the work is done. Works are done one after the other. */
    during: <T>(work: () => Promise<T>): Promise<T> => {
      working++
      const next = last.then(work).finally(() => working--)
      last = next.catch(() => {})
      return next
    },

    /** Goes on until the story is told. */
    run: async <T>(story: Promise<T>): Promise<T> => {
      let isOver = false
      const end = () => {
        isOver = true
      }
      story.then(end, end)
      while (!isOver) {
        await settle()
        if (working > 0) {
          await last
          continue
        }
        const timer = isOver ? undefined : earliest()
        if (!timer) continue
        now = timer.due
        timer.end()
      }
      return story
    },
  }
}

export type Clock = ReturnType<typeof createClock>
