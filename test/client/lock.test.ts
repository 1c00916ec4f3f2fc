/** The lock of the leader, on a simulated clock: when another tab takes it, and when it must not. */
import { expect, test } from "bun:test"
import { withLock } from "../../src/client/lock.ts"
import { createChannels, type Held, platform } from "../../src/client/platform.ts"
import { createClock } from "../support/simulation/clock.ts"
import { createRandom } from "../support/simulation/random.ts"
import { createWebLocks } from "../support/simulation/web-locks.ts"

const never = new Promise<never>(() => {})

/** Tabs of one browser, in which JavaScript can stop. */
const startBrowser = (seed: number) => {
  const clock = createClock()
  const { random } = createRandom(seed)
  const [lock, channel] = [createWebLocks(), createChannels()]
  const startTab = () => {
    const tab = { isFrozen: false, held: undefined as Held | undefined, since: Number.NaN }
    const on = {
      ...platform,
      lock,
      channel,
      random,
      sleep: async (milliseconds: number, signal?: AbortSignal) => {
        await clock.sleep(milliseconds, signal)
        if (tab.isFrozen && !signal?.aborted) await never
      },
    }
    const end = new AbortController()
    const run = withLock(on, "leader", end.signal, async (held) => {
      tab.held = held
      tab.since = clock.now()
      await new Promise<void>((resolve) => end.signal.addEventListener("abort", () => resolve()))
    })
    run.catch(() => {})
    return Object.assign(tab, { close: () => end.abort() })
  }
  return { clock, startTab }
}

test("a leader whose JavaScript stops is replaced within five seconds, by one of those who wait", async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const { clock, startTab } = startBrowser(seed)
    await clock.run(
      (async () => {
        const leader = startTab()
        await clock.sleep(100 * seed)
        const waiting = [startTab(), startTab(), startTab()]
        await clock.sleep(10_000 + 10 * seed)
        leader.isFrozen = true
        const frozen = clock.now()
        await clock.sleep(5_000)
        const next = waiting.filter(({ held }) => held && !held.lost.aborted)
        expect({ seed, leaders: next.length }).toEqual({ seed, leaders: 1 })
        expect((next[0]?.since ?? 0) - frozen).toBeLessThanOrEqual(5_000)
        expect(leader.held?.lost.aborted).toBe(true)
        for (const tab of [leader, ...waiting]) tab.close()
      })(),
    )
  }
})

test("a leader whose JavaScript goes on is never replaced", async () => {
  const { clock, startTab } = startBrowser(1)
  await clock.run(
    (async () => {
      const leader = startTab()
      await clock.sleep(0)
      const waiting = [startTab(), startTab(), startTab()]
      await clock.sleep(600_000)
      expect(leader.held?.lost.aborted).toBe(false)
      expect(waiting.map(({ held }) => held)).toEqual([undefined, undefined, undefined])
      for (const tab of [leader, ...waiting]) tab.close()
    })(),
  )
})
