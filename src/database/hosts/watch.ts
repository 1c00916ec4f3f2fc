/**
 * Which of several hosts is written to.
 *
 * Every host is asked again and again what it is. None is chosen until one may be written to and
 * the others have answered, or had GRACE_MS to. Another one is chosen
 *   when it was promoted after the chosen one: its timeline is the newer one;
 *   when the chosen one is away or read-only, and it is not.
 * Nothing else moves the choice: a former primary that comes back is on an older timeline than one
 * that was seen, and is not chosen again. While no host will do the choice stays, and reads go on
 * where they can.
 */
import { isAway, NoWritableHost } from "../errors.ts"
import { hostUrls, type Target, targetOf } from "../url.ts"
import { createProbe, type History, type Report } from "./probe.ts"

const POLL_MS = 1_000
/** While the chosen host is away, or none is chosen yet. */
const SEARCH_MS = 150
const GRACE_MS = 500

const isOlder = (one: History | undefined, other: History | undefined): boolean =>
  one !== undefined &&
  other !== undefined &&
  one.system === other.system &&
  one.timeline < other.timeline

/** `onMove` is called when another host than before was chosen, and not for the first one. */
export const watchHosts = (urls: string[], target: Target, onMove: (url: string) => void) => {
  const reports = new Map<string, Report>()
  let chosen: { url: string; history: History | undefined } | undefined
  let isEnded = false
  let grace: NodeJS.Timeout | undefined
  const { promise: found, resolve: find } = Promise.withResolvers<void>()

  /** The one that was promoted last, of those that will do, and the first of equals. */
  const best = () => {
    let candidate = chosen
    for (const url of urls) {
      const report = reports.get(url)
      if (!report?.isSuitable || isOlder(report.history, chosen?.history)) continue
      const isChosenAway = candidate === chosen && !reports.get(chosen?.url ?? "")?.isSuitable
      if (isChosenAway || isOlder(candidate?.history, report.history))
        candidate = { url, history: report.history }
    }
    return candidate
  }
  const choose = () => {
    const before = chosen
    chosen = best()
    if (chosen) find()
    if (before && chosen && chosen.url !== before.url) onMove(chosen.url)
  }
  const report = (url: string, one: Report) => {
    reports.set(url, one)
    if (chosen || reports.size === urls.length) choose()
    else if (one.isSuitable) grace ??= setTimeout(choose, GRACE_MS)
    if (reports.size === urls.length) find()
  }
  const isSettled = () => chosen !== undefined && reports.get(chosen.url)?.isSuitable === true

  const watch = (url: string) => {
    const { probe, close } = createProbe(url, target)
    let timer: NodeJS.Timeout | undefined
    const next = async () => {
      const one = await probe()
      if (isEnded) return
      report(url, one)
      timer = setTimeout(next, isSettled() ? POLL_MS : SEARCH_MS)
    }
    next()
    return () => {
      clearTimeout(timer)
      close()
    }
  }
  const stops = urls.map(watch)

  return {
    /** Resolves when a host was chosen, or each of them has been asked. */
    found,
    /** The chosen one. Throws where there is none. */
    current(): string {
      if (chosen) return chosen.url
      const reasons = [...reports.values()].map((one) => !one.isSuitable && one.reason)
      // A wrong password is not mended by waiting.
      throw (
        reasons.find((reason) => reason instanceof Error && !isAway(reason)) ??
        new NoWritableHost(reasons.find(Boolean))
      )
    },
    end() {
      isEnded = true
      clearTimeout(grace)
      for (const stop of stops) stop()
    },
  }
}

/** The URL with the one host that is to be written to, for what takes no list of them. */
export const writableUrl = async (url: string): Promise<string> => {
  const urls = hostUrls(url)
  if (urls.length === 1) return url
  const hosts = watchHosts(urls, targetOf(url) ?? "read-write", () => {})
  await hosts.found
  hosts.end()
  return hosts.current()
}
