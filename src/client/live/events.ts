/**
 * Follows GET /todos/events, with fetch: EventSource cannot send a token. A stream is
 *   opening  until its first event, which the service sends at once;
 *   open     while a heartbeat comes every 15 seconds;
 *   ended    by the service, or cut off: the next is opened after a pause, longer each time;
 *   blocked  by a proxy, or refused: then the caller asks for changes, and the next is opened after
 *            five minutes.
 */
import { ApiError } from "../errors.ts"
import { createWatch, type Http } from "../http.ts"
import { anySignal, backOff, type Platform } from "../platform.ts"
import type { Authorized } from "../session.ts"

/** If the first event is not here by then, a proxy holds it back. */
const FIRST_EVENT = 10_000
/** A heartbeat and some: a longer silence means a dead connection. */
const SILENCE = 20_000
const BLOCKED = 300_000
/** A stream that ends earlier was cut off by a proxy, or by a restart of the service. */
const STEADY = 10_000
/** So many in a row are cut off by a proxy, not by restarts. */
const CUTS = 3

type Given = {
  platform: Platform
  http: Http
  authorized: Authorized
  onToken: (token: string) => void
  /** A stream was opened, and the requests from before it still wait. */
  onOpen: (milliseconds: number) => void
  /** It ended without a word, or was silent for too long. */
  onLost: (isSilent: boolean) => void
  /** A proxy blocks streams, so the caller has to poll. */
  onBlocked: (isBlocked: boolean) => void
  /** Ends early when there is a reason to try again. */
  pause: (milliseconds: number) => Promise<void>
  /** Aborts when the network has changed. A new one each time. */
  interrupted: () => AbortSignal
}

type Read = {
  onOpen: () => void
  onEvent: (data: string) => void
  onRetry: (milliseconds: number) => void
}

/** Parses event streams of the HTML standard, as far as this service uses them. */
const createParser = ({ onEvent, onRetry }: Omit<Read, "onOpen">) => {
  let rest = ""
  return (text: string) => {
    const lines = (rest + text).split(/\r?\n/)
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (line.startsWith("data:")) onEvent(line.slice(5))
      else if (line.startsWith("retry:")) onRetry(Number(line.slice(6)) || 0)
    }
  }
}

/** Reads until the stream ends. Aborts `late` if it is silent for too long. */
const readStream = async (given: Given, read: Read, late: AbortController, signal: AbortSignal) => {
  const { platform, http, authorized } = given
  const watch = createWatch(platform, () => late.abort())
  const either = anySignal(signal, late.signal)
  watch.expectWithin(FIRST_EVENT)
  try {
    const path = "/api/v1/todos/events"
    const { body, headers } = await authorized((bearer) =>
      http.open({ method: "GET", path, headers: bearer, signal: either.signal }),
    )
    const isStream = headers.get("content-type")?.startsWith("text/event-stream")
    const reader = isStream ? body?.getReader?.() : undefined
    if (!reader) return false
    read.onOpen()
    either.signal.addEventListener("abort", () => reader.cancel().catch(() => {}), { once: true })
    const parse = createParser(read)
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return true
      parse(decoder.decode(value, { stream: true }))
      watch.expectWithin(SILENCE)
    }
  } finally {
    watch.end()
    either.end()
  }
}

/** Whether streams are refused, by the service's limit or by a proxy that does not support them. */
const isRefusal = (error: unknown) =>
  error instanceof ApiError &&
  (error.status === 429 || error.error_code === "UNEXPECTED_ANSWER" || error.status === 404)

const tokenIn = (data: string): unknown => {
  try {
    return JSON.parse(data)?.state
  } catch {
    return undefined
  }
}

export const followEvents = async (given: Given, signal: AbortSignal) => {
  const { platform } = given
  let [failures, cuts] = [0, 0]
  while (!signal.aborted) {
    const [late, ended] = [new AbortController(), new AbortController()]
    const interrupted = given.interrupted()
    const either = anySignal(signal, interrupted)
    const started = platform.elapsed()
    let [isTold, retry, isRefused, isLost] = [false, 0, false, false]
    const onOpen = () => {
      cuts++
      platform.sleep(STEADY, ended.signal).then(() => {
        if (ended.signal.aborted) return
        failures = cuts = 0
        if (isTold) given.onBlocked(false)
      })
    }
    const onEvent = (data: string) => {
      const token = tokenIn(data)
      if (typeof token !== "string") return
      if (!isTold) given.onOpen(platform.elapsed() - started)
      isTold = true
      if (cuts < CUTS) given.onBlocked(false)
      given.onToken(token)
    }
    const onRetry = (milliseconds: number) => {
      retry = Math.min(milliseconds, 60_000)
    }
    try {
      isRefused = !(await readStream(given, { onOpen, onEvent, onRetry }, late, either.signal))
    } catch (error) {
      isRefused = isRefusal(error)
      isLost = !isRefused
    }
    ended.abort()
    either.end()
    if (signal.aborted) return
    // It was ended because the network may be another one: that says nothing about this one.
    if (interrupted.aborted) {
      cuts = 0
      continue
    }
    const isBlocked = isRefused || cuts >= CUTS || (!isTold && late.signal.aborted)
    if (isBlocked) given.onBlocked(true)
    if (isLost || late.signal.aborted) given.onLost(late.signal.aborted)
    await given.pause(isBlocked ? BLOCKED : retry + backOff(platform, failures++))
  }
}
