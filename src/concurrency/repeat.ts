/** Repeats work in the background until it is stopped. Runs never overlap, and a failure is not fatal. */
import type { Logger } from "pino"

type Job = {
  name: string
  everyMs: number
  log: Logger
  /** A long run ends early when `isStopping` is true. */
  work: (isStopping: () => boolean) => Promise<unknown>
}

/** Begins at once. Returns the function that stops it, whose promise resolves when no run is under way. */
export const repeat = ({ name, everyMs, log, work }: Job) => {
  let isStopped = false
  let endPause = () => {}

  /** Of a random length, so that instances that started together do not work at the same times. */
  const pause = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, everyMs * (0.75 + Math.random() / 2))
      endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const run = async () => {
    let isFailing = false
    for (;;) {
      const startedAt = performance.now()
      try {
        await work(() => isStopped)
        log.debug({ job: name, duration_ms: Math.round(performance.now() - startedAt) }, "job ran")
        isFailing = false
      } catch (err) {
        if (!isFailing) log.warn({ err }, `${name} failed, and will be tried again`)
        isFailing = true
      }
      if (isStopped) return
      await pause()
      if (isStopped) return
    }
  }
  const ended = run()

  return () => {
    isStopped = true
    endPause()
    return ended
  }
}
