/** Sends requests, and repeats those that may be repeated, with exponential back-off and jitter. */
import type { Answer } from "./calls.ts"
import { ApiError, type Failure, unexpected } from "./errors.ts"
import { anySignal, backOff, type Platform } from "./platform.ts"

export type Outgoing = {
  method: string
  /** Including the query. */
  path: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal | undefined
  /** It may be ended at any time, and is sent again. */
  isBackground?: boolean
}

/** How long nothing may arrive. A slow line is no reason to start again. */
const SILENCE = 30_000
const ATTEMPTS = 4
/** Seconds. If `Retry-After` is longer, the caller decides whether to wait. */
const LONGEST_WAIT = 30

const networkError = (cause: unknown) =>
  new ApiError({ error_code: "NETWORK_ERROR", status: 0, detail: "No answer" }, undefined, cause)

const isFailure = (value: unknown, status: number): value is Failure =>
  typeof value === "object" &&
  value !== null &&
  "error_code" in value &&
  typeof value.error_code === "string" &&
  "status" in value &&
  value.status === status

const hasType = ({ headers }: Response, type: string) =>
  (headers.get("content-type") ?? "").startsWith(type)

/** A proxy or a captive portal may answer in place of the service. */
const failure = (response: Response, text: string) => {
  const { status } = response
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN)
  const retryAfter = Number.isFinite(seconds) ? seconds : undefined
  if (hasType(response, "application/problem+json")) {
    const problem = parse(text)
    if (isFailure(problem, status)) return new ApiError(problem, retryAfter)
  }
  return unexpected(status, `Not an answer of the service: ${status}`, undefined, retryAfter)
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Calls `late` if it is not called again in time, until the signal aborts. */
export const createWatch = (platform: Platform, late: () => void) => {
  let timer = new AbortController()
  return {
    expectWithin: (milliseconds: number) => {
      timer.abort()
      const started = new AbortController()
      timer = started
      platform.sleep(milliseconds, started.signal).then(() => started.signal.aborted || late())
    },
    end: () => timer.abort(),
  }
}

/** Reads a body as it arrives. React Native has no streams, and gives it whole. */
const readText = async (response: Response, onData: () => void) => {
  const reader = response.body?.getReader?.()
  if (!reader) return response.text()
  const decoder = new TextDecoder()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    text += decoder.decode(value, { stream: true })
    onData()
  }
}

export type Http = ReturnType<typeof createHttp>

export const createHttp = (platform: Platform, url: string) => {
  /** Background requests, which may hang on a network that is gone, and when each last heard. */
  const waiting = new Set<{ heard: number; end: () => void }>()

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

  /** `silence`: how long nothing may arrive. A request that waits for a change needs more. */
  const once = async (outgoing: Outgoing, silence = SILENCE): Promise<Answer<unknown>> => {
    const late = new AbortController()
    const end = () => late.abort()
    const watch = createWatch(platform, end)
    const request = { heard: platform.elapsed(), end }
    if (outgoing.isBackground) waiting.add(request)
    watch.expectWithin(silence)
    const joined = anySignal(outgoing.signal, late.signal)
    try {
      const response = await open({ ...outgoing, signal: joined.signal })
      const { status, headers } = response
      const text = await readText(response, () => {
        request.heard = platform.elapsed()
        watch.expectWithin(silence)
      })
      if (text === "" && (status === 204 || status === 202))
        return { data: undefined, status, headers }
      const data = hasType(response, "application/json") ? parse(text) : undefined
      if (data === undefined) throw unexpected(0, "The answer is not JSON of the service")
      return { data, status, headers }
    } catch (error) {
      outgoing.signal?.throwIfAborted()
      // The timeout, or a connection that broke within the body.
      throw error instanceof ApiError ? error : networkError(error)
    } finally {
      waiting.delete(request)
      watch.end()
      joined.end()
    }
  }

  /** `isSafe`: the request may be repeated even if the service has executed it already. */
  const repeatedly = async (
    outgoing: Outgoing,
    isSafe: boolean,
    silence?: number,
  ): Promise<Answer<unknown>> => {
    let mayBeExecuted = false
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(outgoing, silence)
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

  return {
    open,
    once,
    repeatedly,

    /** Ends background requests that heard nothing for so long: the network may have changed. */
    interrupt: (silence: number) => {
      const since = platform.elapsed() - silence
      for (const { heard, end } of [...waiting]) if (heard <= since) end()
    },
  }
}

/** Whether a repeat may succeed. */
const isPassing = (error: ApiError) =>
  error.status === 0 || error.status === 429 || error.status >= 500
