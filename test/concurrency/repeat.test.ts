/** Work that is repeated in the background. */
import { heapStats } from "bun:jsc"
import { expect, test } from "bun:test"
import { repeat } from "../../src/concurrency/repeat.ts"
import { createLog } from "../../src/log.ts"

const job = { name: "a job of a test", everyMs: 1, log: createLog("silent") }

const heapSize = () => {
  Bun.gc(true)
  return heapStats().heapSize
}

test("a stop resolves when the run under way has ended, and no other begins", async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let runs = 0
  let ended = 0
  const stop = repeat({
    ...job,
    async work() {
      runs++
      await promise
      ended++
    },
  })
  const stopped = stop().then(() => ended)
  await Bun.sleep(20)
  resolve()
  expect(await stopped).toBe(1)
  expect(runs).toBe(1)
})

test("a long run is told of the stop", async () => {
  const stop = repeat({
    ...job,
    async work(isStopping) {
      while (!isStopping()) await Bun.sleep(1)
    },
  })
  await Bun.sleep(5)
  await stop()
})

test("a stop does not wait for a pause to end, and a failure ends nothing", async () => {
  let runs = 0
  const failing = repeat({ ...job, work: () => Promise.reject(new Error(`${runs++}`)) })
  while (runs < 3) await Bun.sleep(1)
  await failing()
  const pausing = repeat({ ...job, everyMs: 60_000, work: async () => {} })
  await Bun.sleep(1)
  await pausing()
})

test("each run is logged at debug", async () => {
  const lines: unknown[] = []
  const log = createLog("silent")
  log.debug = (...line: unknown[]) => void lines.push(line)
  await repeat({ ...job, log, work: () => Bun.sleep(5) })()
  expect(lines).toEqual([[{ job: "a job of a test", duration_ms: expect.any(Number) }, "job ran"]])
})

test("20,000 runs leave nothing on the heap", async () => {
  const { promise: isOver, resolve } = Promise.withResolvers<void>()
  // Not by a spy, which keeps each call.
  const { setTimeout } = globalThis
  globalThis.setTimeout = ((next: () => void) => setImmediate(next)) as never
  let runs = 0
  const sizes: number[] = []
  const stop = repeat({
    ...job,
    async work() {
      if (runs++ % 20_000 === 1_000) sizes.push(heapSize())
      if (sizes.length === 4) resolve()
    },
  })
  await isOver
  globalThis.setTimeout = setTimeout
  await stop()
  // Each time: what other files left in this process may grow once meanwhile.
  const growths = sizes.slice(1).map((size, index) => size - (sizes[index] ?? 0))
  expect(Math.min(...growths)).toBeLessThan(256 * 1024)
})
