/** The server that the app listens with. */
import type { AnyElysia } from "elysia"
import { Problem, unavailable } from "../errors.ts"
import type { Log } from "../log.ts"

const describe = ({ HOST, PORT }: Settings, error: unknown) =>
  // Without its code, by which a host that is not found would pass for a missing database.
  new Error(`HOST ${HOST}, PORT ${PORT}: ${error instanceof Error ? error.message : error}`)

type Settings = { HOST: string; PORT: number; REUSE_PORT: "true" | "false" }

/** Throws where the port is taken: a start says so before it changes the database. */
export const expectFreePort = async (settings: Settings) => {
  const { HOST, PORT, REUSE_PORT } = settings
  try {
    const server = Bun.serve({
      hostname: HOST,
      port: PORT,
      reusePort: REUSE_PORT === "true",
      fetch: () => unavailable("The service is starting").toResponse(),
    })
    await server.stop(true)
  } catch (error) {
    throw describe(settings, error)
  }
}

export const listen = (app: AnyElysia, settings: Settings, log: Log) => {
  const { HOST, PORT, REUSE_PORT } = settings
  try {
    app.listen({
      hostname: HOST,
      port: PORT,
      // Only where asked for: a second service would silently take half of the requests.
      reusePort: REUSE_PORT === "true",
      // The framework's error pages show source code.
      development: false,
      // Above it the server would answer without a body; request/json-body.ts has the limit that counts.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // What no hook of the app has caught.
      error(error: Error) {
        log.error({ err: error }, "unexpected error")
        return new Problem("INTERNAL_ERROR", "Something went wrong on our side").toResponse()
      },
    })
  } catch (error) {
    throw describe(settings, error)
  }
  if (!app.server) throw new Error("The server does not listen")
  return app.server
}
