/** Turns whatever was thrown into a problem document for the client, and logs the cause. */
import { ValidationError } from "elysia"
import { ClientLeft, isAway } from "../database/errors.ts"
import type { Log } from "../log.ts"
import { methodTable, type Route, unrouted } from "./methods.ts"
import type { Metrics } from "./metrics.ts"
import { Problem, unavailable } from "./problem.ts"
import type { LoggedRequest } from "./request-log.ts"
import { validationProblem } from "./validation.ts"

/** While the database is away, every request fails for the same reason: it is logged this often. */
const REPEAT_MS = 1_000

type Deps = {
  log: Log
  metrics: Metrics | undefined
  routes: () => Route[]
  logRequest: (request: LoggedRequest, status: number) => void
}

type Failure = Omit<LoggedRequest, "startedAt"> & {
  error: unknown
  code: unknown
  /** Missing if the request failed before its first hook. */
  startedAt?: number
}

/** No route matched. A route that matched may throw a NOT_FOUND too, but as a Problem. */
const isUnrouted = (error: unknown, code: unknown) =>
  code === "NOT_FOUND" && !(error instanceof Problem)

export const answerError = ({ log, metrics, routes, logRequest }: Deps) => {
  let lastTold = 0
  let methodsOf: ReturnType<typeof methodTable> | undefined

  const databaseAway = (error: unknown, requestId: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    metrics?.databaseError(code)
    if (Date.now() - lastTold > REPEAT_MS) {
      lastTold = Date.now()
      log.warn({ err: error, request_id: requestId }, "the database is away")
    }
    return unavailable("The database is away; try again")
  }

  const toProblem = (error: unknown, requestId: unknown): Problem => {
    if (error instanceof Problem) return error
    if (isAway(error)) return databaseAway(error, requestId)
    if (error instanceof ClientLeft) return new Problem("BAD_REQUEST", error.message)
    const invalid = error instanceof ValidationError ? validationProblem(error) : undefined
    if (invalid) return invalid
    log.error({ err: error, request_id: requestId }, "unexpected error")
    return new Problem("INTERNAL_ERROR", "Something went wrong on our side")
  }

  const answer = ({ error, code, request, set }: Failure): Response => {
    try {
      if (isUnrouted(error, code)) {
        methodsOf ??= methodTable(routes())
        return unrouted(request, methodsOf)
      }
      return toProblem(error, set.headers["x-request-id"]).toResponse()
    } catch (thrown) {
      return toProblem(thrown, set.headers["x-request-id"]).toResponse()
    }
  }

  // Destructured: a context that is passed on as a whole makes Elysia parse everything.
  return ({ error, code, request, set, startedAt = performance.now() }: Failure): Response => {
    const response = answer({ error, code, request, set })
    // If no route matched, no hook runs after this one.
    if (isUnrouted(error, code)) logRequest({ request, set, startedAt }, response.status)
    return response
  }
}
