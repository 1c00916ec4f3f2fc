/** Lets a signal end a command's work, which can then clean up. */
export const interruptible = async <Result>(work: (signal: AbortSignal) => Promise<Result>) => {
  const controller = new AbortController()
  const stop = (name: string) => controller.abort(new Error(`interrupted by ${name}`))
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"]
  for (const name of signals) process.once(name, stop)
  try {
    return await work(controller.signal)
  } catch (error) {
    // Streams wrap the reason in another error.
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    for (const name of signals) process.off(name, stop)
  }
}
