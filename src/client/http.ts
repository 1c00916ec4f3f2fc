/** One request, once or repeated: what may be repeated is, with a pause that grows and differs. */
import type { Answer } from "./calls.ts"
import { ApiError, type Failure } from "./errors.ts"
import { backOff, type Platform } from "./platform.ts"

export type Outgoing = {
  method: string
  /** With its query. */
  path: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal | undefined
}

const TIMEOUT = 30_000
const ATTEMPTS = 4
/** Who is told to wait for longer decides that themselves. */
const LONGEST_WAIT = 30

/** Of the signals that are there. */
export const anySignal = (...signals: (AbortSignal | undefined)[]) =>
  AbortSignal.any(signals.filter((signal) => signal !== undefined))

const networkError = (cause: unknown) =>
  new ApiError({ error_code: "NETWORK_ERROR", status: 0, detail: "No answer" }, undefined, cause)

const isFailure = (value: unknown): value is Failure =>
  !(value instanceof ApiError) &&
  typeof value === "object" &&
  value !== null &&
  "error_code" in value

/** Something between may answer in the service's place: a proxy, a portal. */
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
  /** The answer while its body is still on the way: whoever reads it says when that takes too long. */
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

  /** `timeout`: of requests that wait for something to happen. */
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

  /** `isSafe`: it may be repeated after an answer that did not arrive. */
  const repeatedly = async (outgoing: Outgoing, isSafe: boolean): Promise<Answer<unknown>> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(outgoing)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        const { method } = outgoing
        // The answer got lost that said that it is gone.
        if (attempt > 1 && method === "DELETE" && error.status === 404)
          return { data: undefined, status: 204, headers: new Headers() }
        if (attempt === ATTEMPTS) throw error
        // A limit refuses before anything is done.
        const mayRepeat = error.status === 429 || (isSafe && isPassing(error))
        if (!mayRepeat || (error.retry_after ?? 0) > LONGEST_WAIT) throw error
        const pause = 1000 * (error.retry_after ?? 0) + backOff(platform, attempt - 1)
        await platform.sleep(pause, outgoing.signal)
      }
    }
  }

  return { open, once, repeatedly }
}

/** It may go well another time. */
const isPassing = (error: unknown) =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500)
