/** Work that repeats beside the requests until it is stopped: never twice at once, never fatal. */
import type { Logger } from "pino"

type Job = { name: string; everyMs: number; log: Logger; work: () => Promise<unknown> }

/** Begins at once. Returns the function that stops it, and resolves when it is at rest. */
export const repeat = ({ name, everyMs, log, work }: Job) => {
  const stopping = Promise.withResolvers<void>()
  let isStopped = false

  /** Jittered, so that instances that started together do not work together. */
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
