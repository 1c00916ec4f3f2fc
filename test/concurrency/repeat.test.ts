/** Work that is repeated in the background. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { repeat } from "../../src/concurrency/repeat.ts"
import { createLog } from "../../src/log.ts"

const job = { name: "a job of a test", everyMs: 1, log: createLog("silent") }

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
  // In a process of its own: in this one other files may leave something meanwhile.
  const script = `
    import { heapStats } from "bun:jsc"
    import { repeat } from "./src/concurrency/repeat.ts"
    import { createLog } from "./src/log.ts"
    globalThis.setTimeout = (next) => setImmediate(next)
    const heapSize = () => {
      Bun.gc(true)
      return heapStats().heapSize
    }
    let runs = 0
    let before = 0
    const work = async () => {
      runs++
      if (runs === 1_000) before = heapSize()
      if (runs !== 21_000) return
      console.log(heapSize() - before)
      process.exit()
    }
    repeat({ name: "a job of a test", everyMs: 1, log: createLog("silent"), work })`
  const child = Bun.spawn([process.execPath, "--eval", script], {
    cwd: join(import.meta.dir, "..", ".."),
    stdio: ["ignore", "pipe", "inherit"],
  })
  const growth = await child.stdout.text()
  expect(growth).toMatch(/^-?\d+\n$/)
  expect(Number(growth)).toBeLessThan(256 * 1024)
})
