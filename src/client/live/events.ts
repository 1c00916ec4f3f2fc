/**
 * Follows GET /todos/events, with fetch: EventSource cannot send a token. A stream is
 *   opening  until its first event, which the service sends at once;
 *   open     while a heartbeat comes every 15 seconds;
 *   ended    by the service, or cut off: the next is opened after a pause, longer each time;
 *   blocked  by a proxy, or refused: then the caller asks for changes, and the next is opened after
 *            five minutes.
 */
import { ApiError, hasCode } from "../errors.ts"
import type { Http } from "../http.ts"
import { backOff, type Platform } from "../platform.ts"
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
  /** It broke, or was silent for too long. */
  onLost: (isSilent: boolean) => void
  /** A proxy blocks streams, so the caller has to poll. */
  onBlocked: (isBlocked: boolean) => void
  /** Ends early when there is a reason to try again. */
  pause: (milliseconds: number) => Promise<void>
  /** Makes a new one each time: aborted when the network has changed, and at the end. */
  opening: () => AbortController
}

/** Whether streams are refused, by the service's limit or by a proxy that does not support them. */
const isRefusal = (error: unknown) =>
  hasCode(error, "UNEXPECTED_ANSWER") ||
  (error instanceof ApiError && (error.status === 429 || error.status === 404))

export const followEvents = async (given: Given, signal: AbortSignal) => {
  const { platform, http } = given
  let [failures, cuts] = [0, 0]
  while (!signal.aborted) {
    const stream = given.opening()
    const started = platform.elapsed()
    let [opened, retry, isRefused, isLost, isSilent] = [0, 0, false, false, false]
    const isSteady = () => opened > 0 && platform.elapsed() - opened >= STEADY
    /** Parses event streams of the HTML standard, as far as this service uses them. */
    const onText = (text: string) => {
      const lines = text.split(/\r?\n/)
      const rest = lines.pop() ?? ""
      for (const line of lines) {
        const [, name, value = ""] = /^(id|retry): ?(.+)/.exec(line) ?? []
        if (name === "retry") retry = Math.min(Number(value) || 0, 60_000)
        else if (name) {
          if (!opened) given.onOpen(platform.elapsed() - started)
          opened ||= platform.elapsed()
          given.onToken(value)
        }
      }
      if (isSteady()) failures = cuts = 0
      if (opened && cuts < CUTS) given.onBlocked(false)
      return rest
    }
    const onSilence = () => {
      isSilent = true
    }
    try {
      const request = { method: "GET", path: "/api/v1/todos/events", signal: stream.signal }
      await given.authorized((headers) =>
        http.once({ ...request, headers, onText, onSilence }, FIRST_EVENT, SILENCE),
      )
    } catch (error) {
      isRefused = isRefusal(error)
      isLost = !isRefused
    }
    if (signal.aborted) return
    // It was ended because the network may be another one: that says nothing about this one.
    if (stream.signal.aborted) {
      cuts = 0
      continue
    }
    stream.abort()
    if (isSteady()) failures = cuts = 0
    else if (opened || !isLost) cuts++
    const isBlocked = isRefused || cuts >= CUTS || (!opened && isSilent)
    if (isBlocked) given.onBlocked(true)
    if (isLost) given.onLost(isSilent)
    await given.pause(isBlocked ? BLOCKED : retry + backOff(platform, failures++))
  }
}
