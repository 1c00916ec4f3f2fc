/** Whatever was thrown becomes a problem document, and its cause is logged. 405 and OPTIONS follow from the routes. */
import type { AnyElysia } from "elysia"
import { ClientLeft, isAway, outageOf } from "../database/errors.ts"
import type { Log } from "../log.ts"
import type { Metrics } from "./metrics.ts"
import { Problem, unavailable } from "./problem.ts"
import type { LoggedRequest } from "./request-log.ts"

/** While some statements fail and others do not, each reason is logged this often. */
const REPEAT_MS = 1_000

type Route = { method: string; path: string }

const isPattern = (path: string) => path.includes(":")

const toPattern = (path: string) =>
  new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(/:\w+/g, "[^/]+")}$`)

/** RFC 9110, sections 9.3.7 and 15.5.6: the methods of each path, for Allow. */
export const methodTable = (routes: Route[]) => {
  const table = [...Map.groupBy(routes, ({ path }) => path)].map(([path, those]) => {
    const methods = those.map(({ method }) => method).concat("OPTIONS")
    if (methods.includes("GET")) methods.push("HEAD")
    return { path, pattern: toPattern(path), methods: methods.sort() }
  })
  // Patterns last: a path of its own is found first.
  table.sort((a, b) => Number(isPattern(a.path)) - Number(isPattern(b.path)))
  return (path: string) => table.find(({ pattern }) => pattern.test(path))?.methods ?? []
}

const methodNotAllowed = (allow: string) =>
  new Problem("METHOD_NOT_ALLOWED", `This path takes ${allow}`, { headers: { allow } })

/**
 * A path such as /todos/batch looks like /todos/:id, too. For the methods that only the other one has, it is
 * a 405 as everywhere else, and not a todo with the id "batch".
 */
export const refuseMethods = (app: AnyElysia) => {
  const routes: Route[] = [...app.routes]
  const methodsOf = methodTable(routes.filter(({ path }) => !isPattern(path)))
  for (const other of routes.filter(({ path }) => isPattern(path)))
    for (const path of new Set(routes.map((route) => route.path))) {
      const own = methodsOf(path)
      if (own.length === 0 || own.includes(other.method) || !toPattern(other.path).test(path))
        continue
      const refuse = () => {
        throw methodNotAllowed(own.join(", "))
      }
      app.route(other.method, path, refuse, { detail: { hide: true } })
    }
}

/** The response to a request that no route matches. */
const unrouted = (request: Request, methodsOf: Deps["methodsOf"]) => {
  // Null if the Host header is malformed.
  const methods = methodsOf(URL.parse(request.url)?.pathname ?? "")
  const allow = methods.join(", ")
  if (request.method === "OPTIONS" && allow)
    return new Response(null, { status: 204, headers: { allow } })
  // The path has this method, but was sent in another form, such as /docs#top.
  if (!allow || methods.includes(request.method))
    throw new Problem("NOT_FOUND", "There is nothing at this path")
  throw methodNotAllowed(allow)
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
  code: unknown
  /** Missing if the request failed before its first hook. */
  startedAt?: number
}

/** No route matched. A route that matched may throw a NOT_FOUND too, but as a Problem. */
const isUnrouted = (error: unknown, code: unknown) =>
  code === "NOT_FOUND" && !(error instanceof Problem)

export const answerError = ({ log, metrics, methodsOf, answeredAt, logRequest }: Deps) => {
  /** Why requests have failed since the database last answered. Each reason is logged once. */
  const reasons = new Set<string>()
  let loggedAt = 0

  const databaseAway = (error: unknown, requestId: unknown) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    metrics?.databaseError(code)
    const now = performance.now()
    if (answeredAt() > loggedAt && now - loggedAt > REPEAT_MS) reasons.clear()
    if (!reasons.has(code)) {
      reasons.add(code)
      loggedAt = now
      log.warn({ err: error, request_id: requestId }, outageOf(error))
    }
    return unavailable("The database is away; try again")
  }

  const toProblem = (error: unknown, requestId: unknown): Problem => {
    if (error instanceof Problem) return error
    if (isAway(error)) return databaseAway(error, requestId)
    if (error instanceof ClientLeft) return new Problem("BAD_REQUEST", error.message)
    log.error({ err: error, request_id: requestId }, "unexpected error")
    return new Problem("INTERNAL_ERROR", "Something went wrong on our side")
  }

  const respond = ({ error, code, request, set }: Failure): Response => {
    try {
      if (isUnrouted(error, code)) return unrouted(request, methodsOf)
      return toProblem(error, set.headers["x-request-id"]).toResponse()
    } catch (thrown) {
      return toProblem(thrown, set.headers["x-request-id"]).toResponse()
    }
  }

  // Destructured: a context that is passed on as a whole makes Elysia parse everything.
  return ({ error, code, request, set, startedAt = performance.now() }: Failure): Response => {
    const response = respond({ error, code, request, set })
    // If no route matched, no hook runs after this one.
    if (isUnrouted(error, code)) logRequest({ request, set, startedAt }, response.status)
    return response
  }
}
