/** Sends requests, and repeats those that may be repeated, with exponential back-off and jitter. */
import type { Answer } from "./calls.ts"
import { ApiError, type Failure } from "./errors.ts"
import { backOff, type Platform } from "./platform.ts"

export type Outgoing = {
  method: string
  /** Including the query. */
  path: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal | undefined
}

const TIMEOUT = 30_000
const ATTEMPTS = 4
/** Seconds. If `Retry-After` is longer, the caller decides whether to wait. */
const LONGEST_WAIT = 30

/** Like `AbortSignal.any`, without those that are undefined. */
export const anySignal = (...signals: (AbortSignal | undefined)[]) =>
  AbortSignal.any(signals.filter((signal) => signal !== undefined))

const networkError = (cause: unknown) =>
  new ApiError({ error_code: "NETWORK_ERROR", status: 0, detail: "No answer" }, undefined, cause)

const isFailure = (value: unknown): value is Failure =>
  !(value instanceof ApiError) &&
  typeof value === "object" &&
  value !== null &&
  "error_code" in value

/** A proxy or a captive portal may answer in place of the service. */
const failure = (response: Response, text: string) => {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN)
  const retryAfter = Number.isFinite(seconds) ? seconds : undefined
  const problem = parse(text)
  if (isFailure(problem)) return new ApiError(problem, retryAfter)
  const detail = `Not an answer of the service: ${response.status}`
  const { status } = response
  return new ApiError({ error_code: "UNEXPECTED_ANSWER", status, detail }, retryAfter)
}

const parse = (text: string): unknown => {
  try {
    return text === "" ? undefined : JSON.parse(text)
  } catch (cause) {
    const detail = "The answer is not JSON"
    return new ApiError({ error_code: "UNEXPECTED_ANSWER", status: 0, detail }, undefined, cause)
  }
}

export type Http = ReturnType<typeof createHttp>

export const createHttp = (platform: Platform, url: string) => {
  /** Returns the response before its body has arrived. Has no timeout: the caller needs one. */
  const open = async (outgoing: Outgoing): Promise<Response> => {
    const { method, path, headers, body, signal } = outgoing
    signal?.throwIfAborted()
    let response: Response
    try {
      response = await platform.fetch(url + path, {
        method,
        credentials: "omit",
        cache: "no-store",
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal && { signal }),
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw networkError(error)
    }
    if (!response.ok) throw failure(response, await response.text().catch(() => ""))
    return response
  }

  /** A request that waits for a change needs a longer `timeout`. */
  const once = async (outgoing: Outgoing, timeout = TIMEOUT): Promise<Answer<unknown>> => {
    const late = new AbortController()
    const done = new AbortController()
    platform.sleep(timeout, done.signal).then(() => late.abort())
    try {
      const response = await open({ ...outgoing, signal: anySignal(outgoing.signal, late.signal) })
      const data = parse(await response.text())
      if (data instanceof ApiError) throw data
      return { data, status: response.status, headers: response.headers }
    } catch (error) {
      outgoing.signal?.throwIfAborted()
      throw error instanceof ApiError ? error : networkError(error)
    } finally {
      done.abort()
    }
  }

  /** `isSafe`: the request may be repeated even if the service has executed it already. */
  const repeatedly = async (outgoing: Outgoing, isSafe: boolean): Promise<Answer<unknown>> => {
    let mayBeExecuted = false
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(outgoing)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        const isGone = error.status === 404 && error.error_code !== "UNEXPECTED_ANSWER"
        // An earlier attempt probably deleted it, and only the answer was lost.
        if (mayBeExecuted && outgoing.method === "DELETE" && isGone)
          return { data: undefined, status: 204, headers: new Headers() }
        if (attempt === ATTEMPTS) throw error
        // A 429 means that the service has not executed the request.
        const isLimited = error.status === 429
        mayBeExecuted ||= !isLimited
        const mayRepeat = isLimited || (isSafe && isPassing(error))
        if (!mayRepeat || (error.retry_after ?? 0) > LONGEST_WAIT) throw error
        const pause = 1000 * (error.retry_after ?? 0) + backOff(platform, attempt - 1)
        await platform.sleep(pause, outgoing.signal)
      }
    }
  }

  return { open, once, repeatedly }
}

/** Whether a repeat may succeed. */
const isPassing = (error: unknown) =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500)
