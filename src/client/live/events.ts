/** Follows GET /todos/events, with fetch: EventSource cannot send a token. */
import { ApiError } from "../errors.ts"
import { anySignal, type Http } from "../http.ts"
import { backOff, type Platform } from "../platform.ts"
import type { Authorized } from "../session.ts"

/** The service sends the first event at once. If it is not here by then, a proxy holds it back. */
const FIRST_EVENT = 10_000
/** The service sends a heartbeat every 15 seconds: a longer silence means a dead connection. */
const SILENCE = 45_000
const BLOCKED = 300_000
/** A stream that ends earlier was cut off by a proxy, or by a restart of the service. */
const STEADY = 10_000
/** So many in a row are cut off by a proxy, not by restarts. */
const CUTS = 3

type Given = {
  platform: Platform
  http: Http
  authorized: Authorized
  onState: (state: string) => void
  /** A proxy blocks streams, so the caller has to poll. */
  onBlocked: (isBlocked: boolean) => void
  /** Ends early when there is a reason to try again. */
  pause: (milliseconds: number) => Promise<void>
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
  let timer = new AbortController()
  const expectWithin = (milliseconds: number) => {
    timer.abort()
    const started = new AbortController()
    timer = started
    platform.sleep(milliseconds, started.signal).then(() => started.signal.aborted || late.abort())
  }
  const either = anySignal(signal, late.signal)
  expectWithin(FIRST_EVENT)
  try {
    const path = "/api/v1/todos/events"
    const { body } = await authorized((headers) =>
      http.open({ method: "GET", path, headers, signal: either }),
    )
    const reader = body?.getReader()
    if (!reader) return
    read.onOpen()
    either.addEventListener("abort", () => reader.cancel().catch(() => {}), { once: true })
    const parse = createParser(read)
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      parse(decoder.decode(value, { stream: true }))
      expectWithin(SILENCE)
    }
  } finally {
    timer.abort()
  }
}

/** Whether streams are refused, by the service's limit or by a proxy that does not support them. */
const isRefusal = (error: unknown) =>
  error instanceof ApiError &&
  (error.status === 429 || error.error_code === "UNEXPECTED_ANSWER" || error.status === 404)

export const followEvents = async (given: Given, signal: AbortSignal) => {
  const { platform } = given
  let [failures, cuts] = [0, 0]
  while (!signal.aborted) {
    const [late, ended] = [new AbortController(), new AbortController()]
    let [isTold, retry, isRefused] = [false, 0, false]
    const onOpen = () => {
      cuts++
      platform.sleep(STEADY, ended.signal).then(() => {
        if (ended.signal.aborted) return
        failures = cuts = 0
        if (isTold) given.onBlocked(false)
      })
    }
    const onEvent = (data: string) => {
      isTold = true
      if (cuts < CUTS) given.onBlocked(false)
      given.onState(JSON.parse(data).state)
    }
    const onRetry = (milliseconds: number) => {
      retry = milliseconds
    }
    try {
      await readStream(given, { onOpen, onEvent, onRetry }, late, signal)
    } catch (error) {
      isRefused = isRefusal(error)
    }
    ended.abort()
    if (signal.aborted) return
    const isBlocked = isRefused || cuts >= CUTS || (!isTold && late.signal.aborted)
    if (isBlocked) given.onBlocked(true)
    await given.pause(isBlocked ? BLOCKED : retry + backOff(platform, failures++))
  }
}
