/** Whatever was thrown becomes a problem document, and its cause is logged. 405 and OPTIONS follow from the routes. */
import { type AnyElysia, NotFoundError } from "elysia"
import { ClientLeft } from "../concurrency/limiter.ts"
import { isAway, outageOf } from "../database/errors.ts"
import type { Log } from "../log.ts"
import type { Metrics } from "./metrics.ts"
import { Problem, unavailable } from "./problem.ts"
import type { LoggedRequest } from "./request-log.ts"

/** While some statements fail and others do not, it is one outage as long as they fail this often. */
const OUTAGE_GAP_MS = 5_000

const methodNotAllowed = (methods: string[]) => {
  const allow = methods.join(", ")
  return new Problem("METHOD_NOT_ALLOWED", `This path takes ${allow}`, { headers: { allow } })
}

const toPattern = (path: string) =>
  new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:\w+/g, "[^/]+")}$`)

/** RFC 9110, sections 9.3.7 and 15.5.6: the methods of each path, for Allow. */
const pathsOf = (routes: { method: string; path: string }[]) =>
  [...Map.groupBy(routes, ({ path }) => path)].map(([path, those]) => {
    const methods = those.map(({ method }) => method).concat("OPTIONS")
    if (methods.includes("GET")) methods.push("HEAD")
    return { path, pattern: toPattern(path), methods: methods.sort() }
  })

/**
 * A path such as /todos/batch looks like /todos/:id, too. For the methods that only the other one has, it is
 * a 405 as everywhere else, and not a todo with the id "batch". Returns the methods of a path, none if no route
 * has it.
 */
export const refuseMethods = (app: AnyElysia) => {
  const { patterns = [], others = [] } = Object.groupBy(pathsOf(app.routes), ({ path }) =>
    path.includes(":") ? "patterns" : "others",
  )
  for (const { path, methods } of others) {
    const refuse = () => {
      throw methodNotAllowed(methods)
    }
    for (const method of patterns.filter((p) => p.pattern.test(path)).flatMap((p) => p.methods))
      if (!methods.includes(method)) app.route(method, path, refuse, { detail: { hide: true } })
  }
  return (path: string) =>
    [...others, ...patterns].find(({ pattern }) => pattern.test(path))?.methods ?? []
}

/** The response to a request that no route matches. */
const unrouted = (request: Request, methodsOf: Deps["methodsOf"]): Response => {
  // Null if the Host header is malformed.
  const methods = methodsOf(URL.parse(request.url)?.pathname ?? "")
  // The path may have this method, but was sent in another form, such as /docs#top.
  if (methods.length === 0 || (methods.includes(request.method) && request.method !== "OPTIONS"))
    return new Problem("NOT_FOUND", "There is nothing at this path").toResponse()
  return request.method === "OPTIONS"
    ? new Response(null, { status: 204, headers: { allow: methods.join(", ") } })
    : methodNotAllowed(methods).toResponse()
}

type Deps = {
  log: Log
  metrics: Metrics | undefined
  /** The methods of a path, none if no route has it. */
  methodsOf: (path: string) => string[]
  /** When the database last answered, by performance.now(). */
  answeredAt: () => number
  logRequest: (request: LoggedRequest, status: number) => void
}

type Failure = Omit<LoggedRequest, "startedAt"> & {
  error: unknown
  /** Missing if the request failed before its first hook. */
  startedAt?: number
}

export const answerError = ({ log, metrics, methodsOf, answeredAt, logRequest }: Deps) => {
  /** When requests last failed, by the reason. Each reason is logged once an outage. */
  const failedAt = new Map<string, number>()

  const databaseAway = (error: unknown, requestId: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    metrics?.databaseError(code)
    const now = performance.now()
    const before = failedAt.get(code)
    failedAt.set(code, now)
    const isKnown = before !== undefined && (answeredAt() < before || now - before < OUTAGE_GAP_MS)
    if (!isKnown) log.warn({ err: error, request_id: requestId }, outageOf(error))
    return unavailable("The database is away; try again")
  }

  const toProblem = (error: unknown, requestId: unknown): Problem => {
    if (error instanceof Problem) return error
    if (isAway(error)) return databaseAway(error, requestId)
    if (error instanceof ClientLeft) return new Problem("BAD_REQUEST", error.message)
    log.error({ err: error, request_id: requestId }, "unexpected error")
    return new Problem("INTERNAL_ERROR", "Something went wrong on our side")
  }

  // Destructured: a context that is passed on as a whole makes Elysia parse everything.
  return ({ error, request, set, startedAt = performance.now() }: Failure): Response => {
    const isUnrouted = error instanceof NotFoundError
    if (!isUnrouted) return toProblem(error, set.headers["x-request-id"]).toResponse()
    const response = unrouted(request, methodsOf)
    // No hook runs after this one.
    logRequest({ request, set, startedAt }, response.status)
    return response
  }
}
