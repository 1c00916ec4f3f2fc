/** Closes the listening socket without losing requests. */

/** Milliseconds in which no request has begun or ended: then the socket is closed. */
const QUIET_MS = 3
/** A busy service is never quiet: the socket is closed after this time anyway. */
const QUIET_LIMIT_MS = 250

/** Closing resets the connections that the kernel has accepted, but Bun has not. */
const betweenRequests = async (server: Bun.Server<unknown>) => {
  const deadline = performance.now() + QUIET_LIMIT_MS
  let before = server.pendingRequests
  for (let quiet = 0; quiet < QUIET_MS && performance.now() < deadline; quiet++) {
    await Bun.sleep(1)
    // Slow requests may be pending all the time, so that the number need not be zero.
    if (server.pendingRequests !== before) quiet = -1
    before = server.pendingRequests
  }
}

/** Resolves when all requests have been answered. */
export const close = async (server: Bun.Server<unknown>) => {
  await betweenRequests(server)
  await server.stop()
}
