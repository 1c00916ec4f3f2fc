/** Listens on HOST and PORT, and closes the socket without losing requests. */
import type { AnyElysia } from "elysia"
import type { Log } from "../log.ts"
import { IDLE_SECONDS } from "./client-address.ts"
import { Problem, unavailable } from "./problem.ts"

type Settings = {
  HOST: string
  PORT: number
  METRICS_PORT: number | undefined
  REUSE_PORT: "true" | "false"
}

const describe = ({ HOST }: Settings, name: string, port: number, error: unknown) =>
  // A new error without the code: by its code an unknown host would look like an absent database.
  new Error(`HOST ${HOST}, ${name} ${port}: ${error instanceof Error ? error.message : error}`)

/** Throws if a port is in use, so that a start fails before it changes the database. */
export const expectFreePorts = async (settings: Settings) => {
  const { HOST, PORT, METRICS_PORT, REUSE_PORT } = settings
  for (const [name, port] of Object.entries({ PORT, METRICS_PORT }))
    try {
      if (port === undefined) continue
      const server = Bun.serve({
        hostname: HOST,
        port,
        reusePort: name === "PORT" && REUSE_PORT === "true",
        fetch: () => unavailable("The service is starting").toResponse(),
      })
      await server.stop(true)
    } catch (error) {
      throw describe(settings, name, port ?? 0, error)
    }
}

export const listen = (app: AnyElysia, settings: Settings, log: Log) => {
  const { HOST, PORT, REUSE_PORT } = settings
  try {
    app.listen({
      hostname: HOST,
      port: PORT,
      // Not by default: a second service would silently take half of the requests.
      reusePort: REUSE_PORT === "true",
      idleTimeout: IDLE_SECONDS,
      // The framework's error pages show source code.
      development: false,
      // The server itself would respond without a body: json-body.ts enforces the real limit.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // For errors that no hook of the app has caught.
      error(error: Error) {
        log.error({ err: error }, "unexpected error")
        return new Problem("INTERNAL_ERROR", "Something went wrong on our side").toResponse()
      },
    })
  } catch (error) {
    throw describe(settings, "PORT", PORT, error)
  }
  if (!app.server) throw new Error("The server does not listen")
  return app.server
}

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
