/**
 * Chooses the host that is written to, of several.
 *
 * All hosts are probed repeatedly. The first choice is made when all have answered, or have not in time:
 * the slowest may be the one that was promoted. After that another host is chosen
 *   when it was promoted after the chosen one, which its newer timeline tells;
 *   when it is suitable, and the chosen one is away or read-only.
 * A former primary that comes back is on an older timeline than the chosen host, and is not chosen
 * again. While no host is suitable, the choice stays, and reads go on if they can.
 */
import { hostUrls, type Target, targetOf } from "../config/database-url.ts"
import { mayPass, noWritableHost } from "./errors.ts"
import { createProbe, type History, type Report } from "./probe.ts"

const POLL_MS = 1_000
/** While the chosen host is not suitable, or none is chosen yet. */
const SEARCH_MS = 150

const isOlder = (one: History | undefined, other: History | undefined): boolean =>
  one !== undefined &&
  other !== undefined &&
  one.system === other.system &&
  one.timeline < other.timeline

type Choice = { url: string; history: History | undefined; isSynchronous: boolean }

/** Where the host was promoted after the one before it: whether that one's commits waited for it. */
export type Promotion = { history: History; wasSynchronous: boolean }

const promotionOf = (before: Choice, { history }: Choice): Promotion | undefined =>
  history && isOlder(before.history, history)
    ? { history, wasSynchronous: before.isSynchronous }
    : undefined

/** `onMove` is called when the choice changes, but not for the first one. */
export const watchHosts = (
  urls: string[],
  target: Target,
  onMove: (url: string, promotion: Promotion | undefined) => void,
) => {
  const reports = new Map<string, Report>()
  let chosen: Choice | undefined
  let isEnded = false
  const { promise: found, resolve: find } = Promise.withResolvers<void>()

  /** Of the suitable hosts the one that was promoted last. Of equals the first. */
  const best = () => {
    let candidate = chosen
    for (const url of urls) {
      const report = reports.get(url)
      if (!report?.isSuitable || isOlder(report.history, chosen?.history)) continue
      const isChosenAway = candidate === chosen && !reports.get(chosen?.url ?? "")?.isSuitable
      if (isChosenAway || isOlder(candidate?.history, report.history))
        candidate = { url, history: report.history, isSynchronous: report.isSynchronous }
    }
    return candidate
  }
  const report = (url: string, one: Report) => {
    reports.set(url, one)
    if (chosen?.url === url && one.isSuitable) chosen.isSynchronous = one.isSynchronous
    if (reports.size < urls.length) return
    const before = chosen
    chosen = best()
    if (before && chosen && chosen.url !== before.url)
      onMove(chosen.url, promotionOf(before, chosen))
    find()
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
    /** Resolves when all were asked, and one was chosen if one is suitable. */
    found,
    /** The chosen host. Throws if there is none. */
    current(): string {
      if (chosen) return chosen.url
      const reasons = [...reports.values()].map((one) => !one.isSuitable && one.reason)
      // Waiting does not help against a wrong password.
      throw (
        reasons.find((reason) => reason instanceof Error && !mayPass(reason)) ??
        noWritableHost(reasons.find(Boolean))
      )
    },
    end() {
      isEnded = true
      for (const stop of stops) stop()
    },
  }
}

/** The URL with the chosen host alone, for programs that take only one. */
export const writableUrl = async (url: string): Promise<string> => {
  const urls = hostUrls(url)
  if (urls.length === 1) return url
  const hosts = watchHosts(urls, targetOf(url) ?? "read-write", () => {})
  await hosts.found
  hosts.end()
  return hosts.current()
}
