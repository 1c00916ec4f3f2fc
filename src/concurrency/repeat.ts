/** Repeats work in the background until it is stopped. Runs never overlap, and a failure is not fatal. */
import type { Logger } from "pino"

type Job = { name: string; everyMs: number; log: Logger; work: () => Promise<unknown> }

/** Begins at once. Returns the function that stops it, whose promise resolves when no run is left. */
export const repeat = ({ name, everyMs, log, work }: Job) => {
  const stopping = Promise.withResolvers<void>()
  let isStopped = false

  /** Of a random length, so that instances that started together do not work at the same times. */
  const pause = async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, everyMs * (0.75 + Math.random() / 2))
    await Promise.race([promise, stopping.promise])
    clearTimeout(timer)
  }

  const run = async () => {
    let isFailing = false
    while (!isStopped) {
      try {
        await Promise.race([work(), stopping.promise])
        isFailing = false
      } catch (err) {
        if (!isFailing) log.warn({ err }, `${name} failed, and will be tried again`)
        isFailing = true
      }
      await pause()
    }
  }
  const ended = run()

  return async () => {
    isStopped = true
    stopping.resolve()
    await ended
  }
}
