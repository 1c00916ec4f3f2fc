/** Closes the listener so that no request is lost. */

/** Milliseconds without a request that comes or goes, after which the listener is closed. */
const QUIET_MS = 3
/** A busy service is never quiet: the listener is closed after this long anyway. */
const QUIET_LIMIT_MS = 250

/** A connection that the kernel has taken, and we have not, is reset when the listener closes. */
const betweenRequests = async (server: Bun.Server<unknown>) => {
  const deadline = performance.now() + QUIET_LIMIT_MS
  let before = server.pendingRequests
  for (let quiet = 0; quiet < QUIET_MS && performance.now() < deadline; quiet++) {
    await Bun.sleep(1)
    // Requests that take long may be pending all the while.
    if (server.pendingRequests !== before) quiet = -1
    before = server.pendingRequests
  }
}

/** Resolves when every request that was under way has its answer. */
export const close = async (server: Bun.Server<unknown>) => {
  await betweenRequests(server)
  await server.stop()
}
