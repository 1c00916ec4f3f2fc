/** Clients with a replica, whose network the test can hold up, and what it waits for. */
import { afterAll, afterEach } from "bun:test"
import { type Client, createClientOn } from "../../src/client/client.ts"
import { memoryStorage, type Storage } from "../../src/client/index.ts"
import { type Platform, platform } from "../../src/client/platform.ts"
import { insertCredentials } from "./accounts.ts"
import { startApp } from "./app.ts"
import { createPatientClock } from "./patient-clock.ts"
import { createWebLocks } from "./simulation/web-locks.ts"
import { openSql } from "./sql.ts"

export type Reach = (path: string, init: RequestInit) => Promise<Response>

export const startLiveApp = async (settings: Record<string, string> = {}) => {
  const app = await startApp(settings)
  const sql = openSql(app.databaseUrl)
  const reach: Reach = (path, init) => fetch(app.url + path, init)
  const lock = createWebLocks()
  let users = 0
  const opened: (Client & Disposable)[] = []

  /** `hasten`: how much shorter pauses are. `intercept`: stands in the way of requests. */
  const open = (
    intercept: (reach: Reach) => Reach = (direct) => direct,
    storage = memoryStorage(),
    hasten = 20,
  ) => {
    const clock = createPatientClock(20)
    const through = intercept(clock.counted(reach))
    const on: Platform = {
      ...platform,
      lock,
      fetch: (url, init) => through(url.slice(app.url.length), init),
      // Limits are not shorter than a slow machine may need, and do not pass while it answers.
      sleep: (milliseconds, signal) => {
        const least = milliseconds < 7_000 ? 0 : milliseconds < 30_000 ? 1_000 : milliseconds
        const { sleep } = milliseconds < 5_000 ? platform : clock
        return sleep(Math.max(milliseconds / hasten, least), signal)
      },
    }
    const client = createClientOn(on, { url: app.url, storage })
    opened.push({ ...client, [Symbol.dispose]: clock[Symbol.dispose] })
    return client
  }

  const closeClients = () => {
    for (const { close, [Symbol.dispose]: stopClock } of opened.splice(0)) {
      close()
      stopClock()
    }
  }

  return {
    url: app.url,
    /** Of its clients, which are tabs of one browser. */
    lock,
    open,
    /** Registered, without a hash that takes long. */
    account: () => insertCredentials(sql),
    newAccount: () => ({ email: `live-${++users}@example.org`, password: "correct horse" }),
    closeClients,
    async [Symbol.asyncDispose]() {
      closeClients()
      await sql.end()
      await app[Symbol.asyncDispose]()
    },
  }
}

/** One for all tests of a file. Their clients are closed after each. */
export const shareLiveApp = async () => {
  const app = await startLiveApp()
  afterEach(app.closeClients)
  afterAll(() => app[Symbol.asyncDispose]())
  return app
}

export type LiveApp = Awaited<ReturnType<typeof startLiveApp>>

/** The next call of its clients gets a 401, and has to refresh. Does nothing if nobody is logged in. */
export const expireToken = async (storage: Storage, more: object = {}) => {
  const session = (await storage.read("session")).get("session")
  if (session === undefined) return
  const expired = JSON.stringify({
    ...JSON.parse(String(session)),
    access_token: "expired",
    ...more,
  })
  await storage.write(new Map([["session", expired]]))
}

/** Until it is true. The end is there to say what never came; that of the whole test says less. */
export const eventually = async (isTrue: () => boolean) => {
  const deadline = Date.now() + 240_000
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`It never came true: ${isTrue}`)
    await Bun.sleep(5)
  }
}
