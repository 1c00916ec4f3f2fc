/** Log-outs, deletions of accounts and passwords: what becomes of edits, and of answers that get lost. */
import { afterAll, expect, test } from "bun:test"
import { join } from "node:path"
import { createClientOn } from "../../src/client/client.ts"
import { ApiError, type Client, memoryStorage, type Storage } from "../../src/client/index.ts"
import { type Platform, platform } from "../../src/client/platform.ts"
import { fileStorage } from "../../src/client/storage/file.ts"
import { eventually, expireToken, type Reach, shareLiveApp } from "../support/live.ts"
import { createPatientClock } from "../support/patient-clock.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const app = await shareLiveApp()
const directory = temporaryDirectory()
afterAll(() => directory[Symbol.dispose]())

const failing = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error = await promise.then(
    () => "It went well",
    (reason) => reason,
  )
  if (!(error instanceof ApiError)) throw error
  return error
}

/** Requests to some paths are refused before the service, or their answers are lost. */
const createWire = () => {
  const wire = { lost: /^$/, cut: /^$/, held: /^$/, paths: [] as string[] }
  const through = (reach: Reach) => async (path: string, init: RequestInit) => {
    const request = `${init.method} ${path}`
    wire.paths.push(request)
    if (wire.cut.test(request)) throw new TypeError("cut")
    if (wire.held.test(request))
      return new Promise<never>((_, reject) =>
        init.signal?.addEventListener("abort", () => reject(init.signal?.reason)),
      )
    const response = await reach(path, init)
    if (wire.lost.test(request)) throw new TypeError("lost")
    return response
  }
  return { wire, through }
}

const titlesOf = async (client: Client) => (await client.todos.list()).map(({ title }) => title)

test("a log-out right after an edit sends it first", async () => {
  const account = await app.account()
  const storage = memoryStorage()
  const [client, desk] = [app.open(undefined, storage, 1), app.open()]
  await client.logIn(account)
  const live = await client.todos.live()
  await live.create({ title: "Buy milk" })
  await client.logOut()
  expect(await client.user()).toBeUndefined()
  expect([...(await storage.read("")).keys()]).toEqual([])
  await desk.logIn(account)
  expect(await titlesOf(desk)).toEqual(["Buy milk"])
})

test("a log-out that cannot send every edit says how many are left, and does nothing", async () => {
  const { wire, through } = createWire()
  const account = await app.account()
  const storage = memoryStorage()
  const client = app.open(through, storage)
  const user = await client.logIn(account)
  const live = await client.todos.live({ until: "synced" })
  wire.cut = /./
  await live.createMany([{ title: "a" }, { title: "b" }])
  const refused = await failing(client.logOut())
  if (refused.error_code !== "EDITS_PENDING") throw refused
  expect(refused.pending satisfies number).toBe(2)
  expect(await client.user()).toEqual(user)
  expect(live.status().pending).toBe(2)

  await client.logOut({ pending: "keep" })
  expect(await client.user()).toBeUndefined()
  expect([...(await storage.read("")).keys()].filter((key) => key.startsWith("replica"))).toEqual(
    [],
  )
  wire.cut = /^$/
  await client.logIn(account)
  const again = await client.todos.live()
  await eventually(() => again.status().pending === 0 && again.list().length === 2)
  // The session that was left without a network ends by itself.
  while ((await storage.read("left:")).size > 0) await Bun.sleep(5)

  wire.cut = /batch/
  await again.create({ title: "lost" })
  await client.logOut({ pending: "discard" })
  expect([...(await storage.read("")).keys()]).toEqual([])
})

test("where the service has ended the session, a log-out keeps edits or leaves nothing, after a reload too", async () => {
  const account = await app.account()
  const storage = memoryStorage()
  const client = app.open(undefined, storage)
  await client.logIn(account)
  const live = await client.todos.live()
  await live.create({ title: "Buy milk" })
  await eventually(() => live.status().pending === 0)
  await expireToken(storage, { refresh_token: "ended" })
  await failing(client.todos.list())
  await live.create({ title: "waits" })
  client.close()
  const stored = async () => JSON.stringify([...(await storage.read(""))])
  expect(await stored()).not.toContain("refresh_token")

  const reloaded = app.open(undefined, storage)
  expect(await reloaded.user()).toBeUndefined()
  await reloaded.logOut()
  expect(await stored()).not.toContain("Buy milk")
  expect(await stored()).not.toContain(account.email)
  await reloaded.logIn(account)
  const again = await reloaded.todos.live()
  await eventually(() => again.status().pending === 0 && again.list().length === 2)

  await expireToken(storage, { refresh_token: "ended" })
  await failing(reloaded.todos.list())
  await again.create({ title: "lost" })
  await reloaded.logOut({ pending: "discard" })
  expect([...(await storage.read("")).keys()]).toEqual([])
  expect(again.list()).toEqual([])
})

test("a log-out leaves no timer that would keep a program from ending", async () => {
  let timers = 0
  const sleep: Platform["sleep"] = async (milliseconds, signal) => {
    timers++
    await platform.sleep(milliseconds, signal)
    timers--
  }
  const client = createClientOn({ ...platform, sleep }, { url: app.url })
  await client.logIn(await app.account())
  await client.todos.live({ until: "synced" })
  await client.logOut()
  client.close()
  await eventually(() => timers === 0)
})

test("a log-out without a network succeeds here, and ends the session when the network is back", async () => {
  const { wire, through } = createWire()
  const [client, desk] = [app.open(through, undefined, 100), app.open()]
  const account = await app.account()
  await client.logIn(account)
  await desk.logIn(account)
  const sessions = async () => (await desk.call("get", "/api/v1/users/me/sessions")).data.length
  expect(await sessions()).toBe(2)
  wire.cut = /./
  await client.logOut()
  expect(await client.user()).toBeUndefined()
  expect(await sessions()).toBe(2)
  wire.cut = /^$/
  while ((await sessions()) > 1) await Bun.sleep(20)
})

test("a log-out that a captive portal answers has ended no session: it ends when the network is back", async () => {
  let isPortal = false
  const through = (reach: Reach) => (path: string, init: RequestInit) =>
    isPortal ? Promise.resolve(Response.json({})) : reach(path, init)
  const [client, desk] = [app.open(through, undefined, 100), app.open()]
  const account = await app.account()
  await client.logIn(account)
  await desk.logIn(account)
  isPortal = true
  await client.logOut()
  const sessions = async () => (await desk.call("get", "/api/v1/users/me/sessions")).data.length
  expect(await sessions()).toBe(2)
  isPortal = false
  while ((await sessions()) > 1) await Bun.sleep(20)
})

test("a log-out without a network ends the session from another tab, where its own is closed", async () => {
  const [closed, open] = [createWire(), createWire()]
  const storage = memoryStorage()
  const client = app.open(closed.through, storage, 100)
  const [tab, desk] = [app.open(open.through, storage, 100), app.open()]
  const account = await app.account()
  await client.logIn(account)
  await desk.logIn(account)
  expect(await tab.user()).toBeDefined()
  for (const { wire } of [closed, open]) wire.cut = /./
  await client.logOut()
  client.close()
  expect(await tab.user()).toBeUndefined()
  open.wire.cut = /^$/
  const sessions = async () => (await desk.call("get", "/api/v1/users/me/sessions")).data.length
  while ((await sessions()) > 1) await Bun.sleep(20)
  while ((await storage.read("")).size > 0) await Bun.sleep(20)
})

test("a log-out without a network ends the session at the next start, too", async () => {
  const { wire, through } = createWire()
  const storage = memoryStorage()
  const [client, desk] = [app.open(through, storage, 100), app.open()]
  const account = await app.account()
  await client.logIn(account)
  await desk.logIn(account)
  wire.cut = /./
  await client.logOut()
  client.close()
  app.open(undefined, storage)
  const sessions = async () => (await desk.call("get", "/api/v1/users/me/sessions")).data.length
  while ((await sessions()) > 1) await Bun.sleep(20)
  while ((await storage.read("")).size > 0) await Bun.sleep(20)
})

test("a log-out in a network that swallows takes five seconds, and no minute", async () => {
  const { wire, through } = createWire()
  using clock = createPatientClock(5)
  const reach = through((path, init) => platform.fetch(app.url + path, init))
  const on: Platform = {
    ...platform,
    fetch: (url, init) => reach(url.slice(app.url.length), init),
    sleep: (milliseconds, signal) => clock.sleep(milliseconds / 10, signal),
  }
  const client = createClientOn(on, { url: app.url, storage: memoryStorage() })
  await client.logIn(await app.account())
  wire.held = /./
  const started = clock.now()
  await client.logOut()
  expect((clock.now() - started) * 10).toBeLessThan(10_000)
  expect(await client.user()).toBeUndefined()
  client.close()
})

test("an account that is deleted leaves nothing, and logs out every tab", async () => {
  const storage = memoryStorage()
  const [one, other] = [app.open(undefined, storage), app.open(undefined, storage)]
  const account = await app.account()
  await one.logIn(account)
  const [live, tab] = [await one.todos.live(), await other.todos.live()]
  await live.create({ title: "Buy milk" })
  await eventually(() => tab.list().length === 1)
  expect((await failing(one.deleteAccount("wrong horse"))).error_code).toBe("INVALID_CREDENTIALS")
  expect(await other.user()).toMatchObject({ email: account.email })
  let heard = 0
  other.onSessionChange(() => heard++)
  await one.deleteAccount(account.password)
  await eventually(() => heard === 1 && tab.list().length === 0)
  expect(await other.user()).toBeUndefined()
  expect((await failing(tab.create({ title: "late" }))).error_code).toBe("UNAUTHORIZED")
  await Bun.sleep(20)
  while ((await storage.read("")).size > 0) await Bun.sleep(5)
  expect((await failing(one.logIn(account))).error_code).toBe("INVALID_CREDENTIALS")
})

test("an answer that is lost is no answer of another kind: a password, an account, a registration", async () => {
  const { wire, through } = createWire()
  const client = app.open(through, undefined, 100)
  const account = app.newAccount()
  wire.lost = /register/
  const user = await client.register(account)
  expect(user.email).toBe(account.email)
  // The request itself is lost: then it was not done, and it can be done again.
  wire.lost = /^$/
  wire.cut = /password/
  const change = { current_password: account.password, new_password: "battery staple" }
  expect((await failing(client.changePassword(change))).error_code).toBe("NETWORK_ERROR")
  expect(await client.user()).toEqual(user)
  wire.cut = /^$/
  wire.lost = /password/
  wire.paths.length = 0
  await client.changePassword(change)
  expect(wire.paths.filter((path) => path.endsWith("password")).length).toBe(1)
  expect(await titlesOf(client)).toEqual([])

  wire.lost = /^$/
  wire.cut = /DELETE .*users\/me$/
  expect((await failing(client.deleteAccount())).error_code).toBe("NETWORK_ERROR")
  expect(await client.user()).toEqual(user)
  wire.cut = /^$/
  wire.lost = /DELETE .*users\/me$/
  await client.deleteAccount()
  expect(await client.user()).toBeUndefined()
})

test("a registration whose login is lost can be made again, and is there", async () => {
  const { wire, through } = createWire()
  const client = app.open(through, undefined, 100)
  const account = app.newAccount()
  wire.cut = /login/
  expect((await failing(client.register(account))).error_code).toBe("NETWORK_ERROR")
  wire.cut = /^$/
  expect((await client.register(account)).email).toBe(account.email)
  expect((await failing(client.register(account))).error_code).toBe("EMAIL_TAKEN")
})

test("a session that ends while the deletion is lost is no deleted account: edits stay", async () => {
  const { wire, through } = createWire()
  const storage = memoryStorage()
  const client = app.open(through, storage, 100)
  await client.logIn(await app.account())
  const live = await client.todos.live({ until: "synced" })
  wire.cut = /batch|DELETE/
  await live.create({ title: "waits" })
  await expireToken(storage, { refresh_token: "ended" })
  expect((await failing(client.deleteAccount())).error_code).toBe("NETWORK_ERROR")
  expect([...(await storage.read("queue:")).keys()].length).toBeGreaterThan(0)
})

test("no other tab is logged out while a change of the password is under way", async () => {
  const storage = memoryStorage()
  let release = () => {}
  let isDone = false
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const page = app.open(
    (reach) => async (path, init) => {
      const response = await reach(path, init)
      if (!path.endsWith("/password")) return response
      isDone = true
      await held
      return response
    },
    storage,
    1,
  )
  const account = await app.account()
  await page.logIn(account)
  const tab = app.open(undefined, storage, 1)
  let told = 0
  tab.onSessionChange(() => told++)
  const change = { current_password: account.password, new_password: "battery staple" }
  const changed = page.changePassword(change)
  await eventually(() => isDone)
  const listed = tab.todos.list()
  await Bun.sleep(50)
  release()
  await changed
  expect(await listed).toEqual([])
  expect(told).toBe(0)
})

test("a tab that was frozen during its refresh goes on with what another has renewed", async () => {
  const storage = memoryStorage()
  let release = () => {}
  let isFrozen = false
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  // It posts no beats while it is frozen.
  const on: Platform = {
    ...platform,
    lock: app.lock,
    channel: (name, onMessage) => {
      const { post, close } = platform.channel(name, onMessage)
      return { post: (message) => !isFrozen && post(message), close }
    },
    fetch: async (url, init) => {
      const isRefresh = url.endsWith("/auth/refresh")
      isFrozen ||= isRefresh
      const response = await platform.fetch(url, init)
      if (isRefresh) await held
      return response
    },
  }
  const frozen = createClientOn(on, { url: app.url, storage })
  await frozen.logIn(await app.account())
  await expireToken(storage)
  const listed = frozen.todos.list()
  await eventually(() => isFrozen)
  expect(await app.open(undefined, storage).todos.list()).toEqual([])
  release()
  expect(await listed).toEqual([])
  frozen.close()
})

const oneForAll = {
  memory: () => memoryStorage(),
  file: () => fileStorage(join(directory.path, "todos.json")),
}
const renewals = {
  "a refresh": (tab: Client) => tab.todos.list(),
  "a change of the password": (tab: Client, { password }: { password: string }) =>
    tab.changePassword({ current_password: password, new_password: "another horse battery" }),
}
for (const [kind, createStorage] of Object.entries(oneForAll))
  for (const [name, renew] of Object.entries(renewals))
    test(`${name} that ends just after another tab's log-out does not log in again (${kind})`, async () => {
      const storage = createStorage()
      const account = await app.account()
      const [other, desk] = [app.open(undefined, storage), app.open()]
      let isLate = false
      const late: Storage = {
        ...storage,
        write: async (values, guard) => {
          if (isLate && values.get("session")) {
            isLate = false
            await other.logOut()
          }
          return storage.write(values, guard)
        },
      }
      const tab = app.open(undefined, late)
      await tab.logIn(account)
      if (name === "a refresh") await expireToken(storage)
      isLate = true
      await renew(tab, account).catch(() => {})
      expect(isLate).toBe(false)
      for (const one of [tab, other]) expect(await one.user()).toBeUndefined()
      expect((await storage.read("session")).size).toBe(0)
      const now = name === "a refresh" ? account.password : "another horse battery"
      await desk.logIn({ ...account, password: now })
      expect((await desk.call("get", "/api/v1/users/me/sessions")).data.length).toBe(1)
    })

test("a log-out ends no session of somebody else who has logged in meanwhile", async () => {
  const [ada, bob] = [await app.account(), await app.account()]
  for (const pending of ["keep", "discard"] as const) {
    const storage = memoryStorage()
    const tab = app.open(undefined, storage)
    let isOut = false
    const late: Storage = {
      ...storage,
      write: async (values, guard) => {
        // Just before the log-out is stored.
        if (!isOut && values.has("session") && !values.get("session")) {
          isOut = true
          await tab.logIn(bob)
        }
        return storage.write(values, guard)
      },
    }
    const page = app.open(undefined, late)
    const { id } = await page.logIn(ada)
    await page.todos.live({ until: "synced" })
    await page.logOut({ pending })
    expect(isOut).toBe(true)
    expect(await tab.user()).toMatchObject({ email: bob.email })
    expect(await tab.todos.list()).toEqual([])
    const left = [...(await storage.read("replica:")), ...(await storage.read("queue:"))]
    expect(left.filter(([key]) => key.includes(`:${id}:`))).toEqual([])
  }
})

test("what is typed in one tab while another logs out waits for the same user", async () => {
  const storage = memoryStorage()
  const account = await app.account()
  const other = app.open(undefined, storage)
  let type: (() => Promise<unknown>) | undefined
  const late: Storage = {
    ...storage,
    write: async (values, guard) => {
      // Just before the log-out is stored.
      const typing = values.has("session") && !values.get("session") ? type : undefined
      type &&= typing ? undefined : type
      await typing?.()
      return storage.write(values, guard)
    },
  }
  const page = app.open(undefined, late)
  await page.logIn(account)
  const tab = await other.todos.live({ until: "synced" })
  await page.todos.live({ until: "synced" })
  type = () => tab.create({ title: "typed meanwhile" })
  await page.logOut()
  await eventually(() => tab.list().length === 0 || !tab.status().is_logged_in)
  await page.logIn(account)
  const again = await page.todos.live()
  await eventually(() => again.status().pending === 0 && again.list().length === 1)
  expect(await titlesOf(page)).toEqual(["typed meanwhile"])
})

test("an account that another device deletes leaves nothing here either, edits that wait included", async () => {
  const account = await app.account()
  const storage = memoryStorage()
  const { wire, through } = createWire()
  const [phone, desk] = [app.open(through, storage), app.open()]
  await phone.logIn(account)
  await desk.logIn(account)
  const live = await phone.todos.live({ until: "synced" })
  wire.cut = /./
  await live.create({ title: "waits" })
  await desk.deleteAccount()
  wire.cut = /^$/
  live.retry()
  const left = { count: 1 }
  const look = async () => {
    left.count = (await storage.read("")).size
  }
  await eventually(() => {
    look()
    return left.count === 0
  })
  expect(await phone.user()).toBeUndefined()
})
