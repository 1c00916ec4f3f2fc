/**
 * The clock of a device: milliseconds that stand still while the service has a request of the device to
 * answer, and while this process does not run. So nothing is late there because the machine is busy.
 */
type Request = (where: string, init: RequestInit) => Promise<Response>

export const createPatientClock = (tick: number) => {
  let now = 0
  let unanswered = 0
  const sleepers = new Set<{ due: number; wake: () => void }>()
  const ticker = setInterval(() => {
    if (unanswered > 0) return
    now += tick
    for (const { due, wake } of sleepers) if (due <= now) wake()
  }, tick)

  return {
    now: () => now,
    /** Whether the service has a request to answer. */
    isBusy: () => unanswered > 0,

    /** Resolves early, without an error, when the signal aborts. */
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        const wake = () => {
          sleepers.delete(sleeper)
          signal?.removeEventListener("abort", wake)
          resolve()
        }
        const sleeper = { due: now + milliseconds, wake }
        if (signal?.aborted) return resolve()
        sleepers.add(sleeper)
        signal?.addEventListener("abort", wake)
      }),

    /** Counts requests until their responses begin, but for those that ask the service to wait. */
    counted:
      (request: Request): Request =>
      async (where, init) => {
        if (new Headers(init.headers).has("prefer")) return request(where, init)
        unanswered++
        try {
          return await request(where, init)
        } finally {
          unanswered--
        }
      },

    [Symbol.dispose]: () => clearInterval(ticker),
  }
}
