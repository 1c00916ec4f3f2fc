/** A signal ends a command's work, which then cleans up behind itself. */
export const interruptible = async <Result>(work: (signal: AbortSignal) => Promise<Result>) => {
  const controller = new AbortController()
  const stop = (name: string) => controller.abort(new Error(`interrupted by ${name}`))
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"]
  for (const name of signals) process.once(name, stop)
  try {
    return await work(controller.signal)
  } catch (error) {
    // Streams wrap the reason in an error of their own.
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    for (const name of signals) process.off(name, stop)
  }
}
