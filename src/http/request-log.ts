/**
 * What every request has: its id, nosniff, its line in the log and its place in the metrics. While the
 * service stops, `Connection: close`.
 */
import { Elysia, ElysiaCustomStatusResponse } from "elysia"
import type { Log } from "../log.ts"
import type { Metrics } from "./metrics.ts"

export type LoggedRequest = {
  startedAt: number
  request: Request
  /** The pattern. Undefined if no route matched. */
  route?: string
  caller?: { userId: number } | undefined
  set: { headers: Record<string, string | number | undefined> }
}

/** Request ids that a caller may choose. No log and no header has to escape them. */
export const REQUEST_ID_PATTERN = "^[A-Za-z0-9._-]{1,128}$"
const REQUEST_ID = new RegExp(REQUEST_ID_PATTERN)

/** Methods with routes. All others count as one, because clients can invent any number of them. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/**
 * W3C Trace Context: version, trace, parent, flags; later versions may have more behind them. Ids of only
 * zeros are invalid, and so is version ff.
 */
const TRACEPARENT =
  /^(?!ff|00.{54})[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-[\da-f]{2}(?:$|-)/

/** The caller's trace, so that the line can be found by it. An invalid traceparent is ignored. */
const traceOf = ({ headers }: Request) => {
  const given = headers.get("traceparent")
  if (given === null) return ""
  const [, trace, span] = TRACEPARENT.exec(given) ?? []
  return trace === undefined ? "" : `,"trace_id":"${trace}","span_id":"${span}"`
}

const statusOf = (response: unknown, status: number | string | undefined): number => {
  if (response instanceof Response) return response.status
  if (response instanceof ElysiaCustomStatusResponse) return Number(response.code)
  return typeof status === "number" ? status : 200
}

export const createRequestLog = (
  log: Log,
  metrics: Metrics | undefined,
  isStopping: () => boolean,
) => {
  /** Has to be called once for each response. */
  const logRequest = (
    { startedAt, request, route = "none", caller, set }: LoggedRequest,
    status: number,
  ) => {
    const method = METHODS.has(request.method) ? request.method : "other"
    const milliseconds = performance.now() - startedAt
    const hasWaited = set.headers["preference-applied"] !== undefined
    metrics?.request(method, route, status, hasWaited ? undefined : milliseconds / 1000)
    // Nothing needs escaping: request ids have a safe alphabet, and the rest is our own text.
    log.line(
      `"request_id":"${set.headers["x-request-id"]}","method":"${method}","route":"${route}",` +
        // toFixed would take as long as the rest of the line.
        `"status":${status},"duration_ms":${Math.round(milliseconds * 100) / 100}` +
        (caller ? `,"user_id":${caller.userId}` : "") +
        traceOf(request),
    )
    if (isStopping()) set.headers["connection"] = "close"
  }

  return {
    logRequest,
    hooks: new Elysia({ name: "request-log" })
      .decorate("startedAt", 0)
      .decorate("caller", undefined as LoggedRequest["caller"])
      .onRequest((context) => {
        context.startedAt = performance.now()
        const given = context.request.headers.get("x-request-id")
        const isUsable = given !== null && REQUEST_ID.test(given)
        context.set.headers["x-request-id"] = isUsable ? given : Bun.randomUUIDv7()
        context.set.headers["x-content-type-options"] = "nosniff"
      })
      // Destructured: a context that is passed on as a whole makes Elysia parse everything.
      .mapResponse(
        { as: "global" },
        ({ startedAt, request, route, caller, set, responseValue }) => {
          logRequest(
            { startedAt, request, route, caller, set },
            statusOf(responseValue, set.status),
          )
        },
      ),
  }
}
