/** Sends requests, and repeats those that may be repeated, with exponential back-off and jitter. */
import type { Answer } from "./calls.ts"
import { ApiError, failed, isUnanswered, unexpected } from "./errors.ts"
import { abortedBy, backOff, type Platform } from "./platform.ts"
import { isFailure, parse } from "./shapes.ts"

export type Outgoing = {
  method: string
  /** Including the query. */
  path: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal | undefined
  /** It may be ended at any time, and is sent again. */
  isBackground?: boolean
  /** Of an event stream: called with what has arrived. Returns the rest, which is not whole yet. */
  onText?: (text: string) => string
  /** Called when nothing has arrived for too long. */
  onSilence?: () => void
}

/** How long nothing may arrive. A slow line is no reason to start again. */
const SILENCE = 30_000
const REPEATS = 3
/** Seconds. If `Retry-After` is longer, the caller decides whether to wait. */
const LONGEST_WAIT = 30
/** What runs in the background holds up others: it waits as long as the service itself asks for. */
const LONGEST_BACKGROUND_WAIT = 5

const hasType = ({ headers }: Response, type: string) =>
  headers.get("content-type")?.startsWith(type)

/** Only a problem document of the service is its answer. */
const failure = (response: Response, text: string) => {
  const { status, headers } = response
  const seconds = Number.parseFloat(headers.get("retry-after") ?? "")
  const retryAfter = seconds >= 0 ? seconds : undefined
  const problem = hasType(response, "application/problem+json") && parse(text)
  return isFailure(problem) && problem.status === status
    ? new ApiError(problem, retryAfter)
    : unexpected(status, undefined, retryAfter)
}

/** Reads a body as it arrives. React Native has no streams, and gives it whole. */
const readText = async (response: Response, onData: () => void, onText: Outgoing["onText"]) => {
  const reader = response.body?.getReader?.()
  if (!reader) return response.text()
  const decoder = new TextDecoder()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    text += decoder.decode(value, { stream: !done })
    if (done) return text
    onData()
    text = onText?.(text) ?? text
  }
}

export type Http = ReturnType<typeof createHttp>

export const createHttp = (platform: Platform, url: string) => {
  /** What ends background requests, which may hang on a network that is gone; when each last heard. */
  const waiting = new Map<AbortController, number>()

  const exchange = async (outgoing: Outgoing, signal: AbortSignal, onData: () => void) => {
    const { method, path, headers, body, onText } = outgoing
    const response = await platform.fetch(url + path, {
      method,
      credentials: "omit",
      cache: "no-store",
      headers: { ...(body ? { "content-type": "application/json" } : {}), ...headers },
      body: JSON.stringify(body),
      signal,
    })
    const { status } = response
    if (!response.ok) throw failure(response, await response.text().catch(() => ""))
    // Of the successes of HTTP the service has these.
    const own = { GET: [200], DELETE: [204] }[method] ?? [200, 201, 202, 204]
    if (!own.includes(status)) throw unexpected(status)
    if (onText && !(hasType(response, "text/event-stream") && response.body?.getReader))
      throw unexpected()
    const text = await readText(response, onData, onText)
    const isEmpty = onText || (text === "" && status > 201)
    const data = hasType(response, "application/json") ? parse(text) : undefined
    if (data === undefined && !isEmpty) throw unexpected()
    return { data, status, headers: response.headers }
  }

  /**
   * `silence`: how long nothing may arrive, at first and later. A request that waits for a change
   * needs more.
   */
  const once = async (
    outgoing: Outgoing,
    silence = SILENCE,
    later = silence,
  ): Promise<Answer<unknown>> => {
    const ending = abortedBy(outgoing.signal)
    let timer = abortedBy(ending.signal)
    const expectWithin = (milliseconds: number) => {
      if (outgoing.isBackground) waiting.set(ending, platform.elapsed())
      timer.abort()
      timer = abortedBy(ending.signal)
      const { signal } = timer
      platform.sleep(milliseconds, signal).then(() => {
        if (signal.aborted) return
        outgoing.onSilence?.()
        ending.abort()
      })
    }
    try {
      outgoing.signal?.throwIfAborted()
      expectWithin(silence)
      return await exchange(outgoing, ending.signal, () => expectWithin(later))
    } catch (error) {
      outgoing.signal?.throwIfAborted()
      // The timeout, or a connection that broke.
      throw error instanceof ApiError ? error : failed("NETWORK_ERROR", "No answer", 0, error)
    } finally {
      waiting.delete(ending)
      ending.abort()
    }
  }

  /** `isSafe`: the request may be repeated even if the service has executed it already. */
  const repeatedly = async (
    outgoing: Outgoing,
    isSafe: boolean,
    silence?: number,
  ): Promise<Answer<unknown>> => {
    let mayBeExecuted = false
    for (let attempt = 0; ; attempt++) {
      try {
        return await once(outgoing, silence)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        const { status, retry_after = 0 } = error
        // An earlier attempt probably deleted it, and only the answer was lost.
        const isGone = status === 404 && !isUnanswered(error)
        if (mayBeExecuted && outgoing.method === "DELETE" && isGone)
          return { data: undefined, status: 204, headers: new Headers() }
        // A 429 means that the service has not executed the request.
        mayBeExecuted ||= status !== 429
        const mayRepeat = status === 429 || (isSafe && (status === 0 || status >= 500))
        const longest = outgoing.isBackground ? LONGEST_BACKGROUND_WAIT : LONGEST_WAIT
        if (!mayRepeat || attempt === REPEATS || retry_after > longest) throw error
        await platform.sleep(1000 * retry_after + backOff(platform, attempt), outgoing.signal)
      }
    }
  }

  return {
    once,
    repeatedly,

    /** Ends background requests that heard nothing for so long: the network may have changed. */
    interrupt: (silence: number) => {
      const since = platform.elapsed() - silence
      for (const [ending, heard] of waiting) if (heard <= since) ending.abort()
    },
  }
}
