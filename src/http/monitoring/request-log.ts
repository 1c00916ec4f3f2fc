/** Watches every request: its line in the log, its metrics, and `Connection: close` at the end. */
import { Elysia, ElysiaCustomStatusResponse } from "elysia"
import type { Log } from "../../log.ts"
import type { Metrics } from "./metrics.ts"

export type LoggedRequest = {
  startedAt: number
  request: Request
  /** The pattern; undefined where no route took the request. */
  route?: string
  caller?: { userId: number } | undefined
  set: { headers: Record<string, string | number | undefined> }
}

/** The methods that have routes. Others are one, because a client can make up as many as it likes. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** W3C Trace Context: version, trace, parent, flags. All zeros are no ids. */
const TRACEPARENT = /^00-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-[\da-f]{2}$/

/** Of the caller, so that the line is found from its trace; what is no traceparent is left out. */
const traceOf = (request: Request) => {
  const [, trace, span] = TRACEPARENT.exec(request.headers.get("traceparent") ?? "") ?? []
  return trace === undefined ? "" : `,"trace_id":"${trace}","span_id":"${span}"`
}

const statusOf = (answer: unknown, status: number | string | undefined): number => {
  if (answer instanceof Response) return answer.status
  if (answer instanceof ElysiaCustomStatusResponse) return Number(answer.code)
  return typeof status === "number" ? status : 200
}

export const createRequestLog = (
  log: Log,
  metrics: Metrics | undefined,
  isStopping: () => boolean,
) => {
  /** To be called once for each answer. */
  const logRequest = (
    { startedAt, request, route = "none", caller, set }: LoggedRequest,
    status: number,
  ) => {
    const method = METHODS.has(request.method) ? request.method : "other"
    const milliseconds = performance.now() - startedAt
    metrics?.request(method, route, status, milliseconds / 1000)
    // A request id has a safe alphabet, and all the rest is ours: nothing here needs escaping.
    log.line(
      `"request_id":"${set.headers["x-request-id"]}","method":"${method}","route":"${route}",` +
        `"status":${status},"duration_ms":${milliseconds.toFixed(2)}` +
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
      })
      // A context that is passed on whole makes Elysia parse whatever it might be read for.
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
