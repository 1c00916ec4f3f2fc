/** The status, and what waits, where the network swallows, crawls, goes and comes back. */
import { expect, test } from "bun:test"
import { createClientOn } from "../../src/client/client.ts"
import { type Live, memoryStorage } from "../../src/client/index.ts"
import { type Platform, type PlatformEvent, platform } from "../../src/client/platform.ts"
import { insertCredentials } from "../support/accounts.ts"
import type { App } from "../support/app.ts"
import { eventually, expireToken } from "../support/live.ts"
import { createPatientClock } from "../support/patient-clock.ts"
import { insertMany } from "../support/rows.ts"
import { shareApp } from "../support/shared-app.ts"

const { app, sql } = await shareApp()
const registered = () => insertCredentials(sql)

type Fetch = Platform["fetch"]

const untilAborted = ({ signal }: RequestInit) =>
  new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))

/** How much faster the clock of a device is, until `slowDown`. */
const HASTE = 20

/** A device whose seconds last a twentieth, and whose network the test holds up. */
const startDevice = (app: App, storage = memoryStorage()) => {
  const listeners = new Set<(event: PlatformEvent) => void>()
  const network = {
    hold: /^$/,
    cut: /^$/,
    requests: [] as string[],
    isOnline: true,
    through: (to: Fetch) => to,
  }
  const own = createPatientClock(2)
  const clock = { haste: HASTE, since: own.now(), elapsed: 0 }
  const elapsed = () => clock.elapsed + (own.now() - clock.since) * clock.haste
  const reach = own.counted(platform.fetch)
  const on: Platform = {
    ...platform,
    fetch: (url, init) => {
      const request = `${init.method} ${url.slice(app.url.length)}`
      network.requests.push(request)
      if (network.cut.test(request)) return Promise.reject(new TypeError("cut"))
      if (network.hold.test(request)) return untilAborted(init)
      return network.through(reach)(url, init)
    },
    sleep: (milliseconds, signal) => own.sleep(milliseconds / clock.haste, signal),
    elapsed,
    isOnline: () => network.isOnline,
    onEvent: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const happen = (event: PlatformEvent) => {
    for (const listener of listeners) listener(event)
  }
  /** From its next request on, of a certain path, seconds are whole ones: its bounds are those of people. */
  const slowDown = async (path: RegExp) => {
    Object.assign(clock, { elapsed: elapsed(), since: own.now(), haste: 1 })
    const seen = network.requests.length
    await eventually(() => network.requests.slice(seen).some((request) => path.test(request)))
    // It hangs for as long as that.
    clock.elapsed += 2_000
  }
  const speedUp = () => Object.assign(clock, { elapsed: elapsed(), since: own.now(), haste: HASTE })
  /** How long that lasts for the device. */
  const timed = async (isTrue: () => boolean) => {
    const started = elapsed()
    await eventually(isTrue)
    return elapsed() - started
  }
  const client = createClientOn(on, { url: app.url, storage })
  const close = () => {
    client.close()
    own[Symbol.dispose]()
  }
  return { client, network, happen, slowDown, speedUp, timed, elapsed, close, own }
}

const startLive = async (app: App, storage = memoryStorage()) => {
  const device = startDevice(app, storage)
  await device.client.logIn(await registered())
  const live = await device.client.todos.live({ until: "synced" })
  await eventually(() => live.status().is_online)
  return { ...device, live }
}

/** What lasts a second for people. */
const SECOND = 1_000
const isOffline = (live: Live) => () => !live.status().is_online
const isOnline = (live: Live) => () => live.status().is_online

test("an idle tab is offline at once where the browser says so, and online within a second of the network", async () => {
  const { live, network, happen, slowDown, timed, close, own } = await startLive(app)
  await eventually(() => network.requests.some((request) => request.endsWith("/events")))
  await eventually(() => !own.isBusy())
  network.cut = /./
  happen("offline")
  expect(live.status().is_online).toBe(false)
  let times = 0
  const stop = live.subscribe(() => {
    if (live.status().is_online) times++
  })
  // Nothing waits: only a request finds out, and not that there was nothing to do.
  await Bun.sleep(200)
  expect(times).toBe(0)
  expect(live.status().is_online).toBe(false)
  stop()
  happen("online")
  await slowDown(/./)
  network.cut = /^$/
  happen("online")
  expect(await timed(isOnline(live))).toBeLessThan(SECOND)
  close()
})

test("where nobody is logged in any more it is online as far as the browser knows", async () => {
  const storage = memoryStorage()
  let looks = 0
  const read: typeof storage.read = (prefix) => {
    if (prefix === "session") looks++
    return storage.read(prefix)
  }
  const { live, client, network, happen, close } = await startLive(app, { ...storage, read })
  await client.logOut()
  const isOut = (is_online: boolean) => () =>
    live.status().is_logged_in === false && live.status().is_online === is_online
  await eventually(isOut(true))
  Object.assign(network, { isOnline: false, cut: /./ })
  happen("offline")
  // Both what sends and what follows the stream look whether somebody is logged in.
  const before = looks
  live.retry()
  await eventually(() => looks >= before + 2)
  await Bun.sleep(0)
  expect(isOut(false)()).toBe(true)
  network.isOnline = true
  happen("online")
  await eventually(isOut(true))
  close()
})

test("an idle tab that the browser calls offline in error finds out that it is not", async () => {
  const { live, happen, timed, close } = await startLive(app)
  happen("offline")
  expect(live.status().is_online).toBe(false)
  expect(await timed(isOnline(live))).toBeLessThan(SECOND * HASTE)
  close()
})

test("a stream that is silent for longer than a heartbeat takes is offline, whatever the browser says", async () => {
  const { live, network, slowDown, timed, close } = await startLive(app)
  // 15 s of the service are 300 s of this device: no heartbeat comes in time.
  network.hold = /./
  expect(await timed(isOffline(live))).toBeLessThan(31_000)
  await slowDown(/changes/)
  network.hold = /^$/
  live.retry()
  expect(await timed(isOnline(live))).toBeLessThan(SECOND)
  close()
})

test("a small batch that nobody answers is offline after 10 seconds, and sent as soon as the network is back", async () => {
  const { live, client, network, happen, slowDown, speedUp, timed, close } = await startLive(app)
  for (const event of ["online", "visibilitychange"] as const) {
    speedUp()
    network.hold = /batch|changes|events/
    const title = `held until ${event}`
    await live.create({ title })
    expect(await timed(isOffline(live))).toBeLessThan(13_000)
    await slowDown(/batch/)
    network.hold = /^$/
    happen(event)
    expect(await timed(() => live.status().pending === 0)).toBeLessThan(SECOND)
    expect((await client.todos.list()).filter((todo) => todo.title === title).length).toBe(1)
  }
  close()
})

test("a refresh whose answer is swallowed is repeated while the service still repeats it", async () => {
  const storage = memoryStorage()
  const { live, network, elapsed, close } = await startLive(app, storage)
  const refreshed: number[] = []
  network.through = (to) => async (url, init) => {
    if (url.endsWith("/auth/refresh")) refreshed.push(elapsed())
    const response = await to(url, init)
    return url.endsWith("/auth/refresh") && refreshed.length === 1 ? untilAborted(init) : response
  }
  await expireToken(storage)
  await live.create({ title: "waits for the refresh" })
  await eventually(() => live.status().pending === 0)
  const [first = 0, second = 0] = refreshed
  expect(second - first).toBeLessThan(10_000)
  expect(live.status().is_logged_in).toBe(true)
  close()
})

test("a refresh that hangs holds up nothing once the network is back", async () => {
  const storage = memoryStorage()
  const { live, network, happen, slowDown, timed, close } = await startLive(app, storage)
  const refreshes = () => network.requests.filter((request) => request.endsWith("/auth/refresh"))
  network.hold = /refresh/
  await expireToken(storage)
  await live.create({ title: "waits for the refresh" })
  await slowDown(/refresh/)
  const before = refreshes().length
  network.hold = /^$/
  happen("online")
  const isSettled = () => live.status().pending === 0 && live.status().is_online
  expect(await timed(isSettled)).toBeLessThan(SECOND)
  expect(refreshes().length).toBe(before + 1)
  close()
})

test.concurrent("a page that was asked to wait for days waits for a minute", async () => {
  const { live, network, elapsed, close } = await startLive(app)
  const slept: number[] = []
  network.through = (to) => async (url, init) => {
    if (!url.includes("batch")) return to(url, init)
    const after = ["2592000", "600", "-5", "soon"][slept.length] ?? "0"
    slept.push(elapsed())
    return new Response("<html>", { status: 503, headers: { "retry-after": after } })
  }
  await live.create({ title: "waits" })
  await eventually(() => slept.length >= 4)
  const [first = 0, second = 0, third = 0] = slept
  for (const pause of [second - first, third - second]) {
    expect(pause).toBeGreaterThan(58_000)
    expect(pause).toBeLessThan(90_000)
  }
  close()
})

test.concurrent("the first replica arrives on a slow line, page by page, and what has arrived is kept", async () => {
  const storage = memoryStorage()
  const first = startDevice(app, storage)
  const user = await first.client.logIn(await registered())
  await insertMany(sql, user.id, 600, { description: "repeat('x', 900)" })
  // 20 kB/s of the device, a piece at a time.
  const crawl =
    (own: typeof first.own) => (to: Fetch) => async (url: string, init: RequestInit) => {
      const response = await to(url, init)
      if (!url.includes("/changes")) return response
      const bytes = new Uint8Array(await response.arrayBuffer())
      let at = 0
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          // Until its request is aborted: the clock of a closed device stands still.
          await own.sleep(100 / HASTE, init.signal ?? undefined)
          if (init.signal?.aborted) return controller.error(init.signal.reason)
          if (at >= bytes.length) return controller.close()
          controller.enqueue(bytes.slice(at, at + 2_000))
          at += 2_000
        },
      })
      return new Response(body, response)
    }
  first.network.through = crawl(first.own)
  const live = await first.client.todos.live()
  await eventually(() => live.list().length >= 100)
  expect(live.status().has_synced).toBe(false)
  first.close()

  const { client, network, own, close } = startDevice(app, storage)
  network.through = crawl(own)
  const again = await client.todos.live()
  expect(again.list().length).toBeGreaterThanOrEqual(100)
  await eventually(() => again.status().has_synced)
  expect(again.list().length).toBe(600)
  expect(network.requests.some((request) => request.endsWith("limit=100"))).toBe(false)
  close()
})
