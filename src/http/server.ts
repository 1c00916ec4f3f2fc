/** Makes the app listen on HOST and PORT. */
import type { AnyElysia } from "elysia"
import type { Log } from "../log.ts"
import { Problem, unavailable } from "./problem.ts"

const describe = ({ HOST, PORT }: Settings, error: unknown) =>
  // A new error without the code: by its code an unknown host would look like an absent database.
  new Error(`HOST ${HOST}, PORT ${PORT}: ${error instanceof Error ? error.message : error}`)

type Settings = { HOST: string; PORT: number; REUSE_PORT: "true" | "false" }

/** Throws if the port is taken, so that a start fails before it changes the database. */
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
      // Not by default: a second service would silently take half of the requests.
      reusePort: REUSE_PORT === "true",
      // The framework's error pages show source code.
      development: false,
      // The server itself would answer without a body: request/json-body.ts enforces the real limit.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // For errors that no hook of the app has caught.
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
