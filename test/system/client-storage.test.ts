/** IndexedDB as Chromium has it, where it fails for a moment, for good, or is wanted by a newer page. */
import { expect, test } from "bun:test"
import type { Page } from "playwright-core"
import { openPage, run, says, sharePages, shows } from "../support/client-page.ts"

const { browser, app, script, newAccount } = await sharePages()

/** Logged in, with one todo, on a page that was loaded anew with a script before everything else. */
const openAgain = async (content: string) => {
  const context = await browser.newContext()
  const first = await openPage(context, app.url, script)
  await run(first, `open(${newAccount()}, true)`)
  await run(first, `create("milk")`)
  await says(first, "0 online")
  await first.close()
  await context.addInitScript({ content })
  const page = await openPage(context, app.url, script)
  return { page, context, [Symbol.asyncDispose]: () => context.close() }
}

const failing = (page: Page, code: string) =>
  run(page, `${code}.then(() => "it went well", ({ error_code }) => error_code)`)

test("a read that fails once is tried again, and nobody is logged out", async () => {
  await using opened = await openAgain(`
    let failures = 2
    const open = IDBFactory.prototype.open
    IDBFactory.prototype.open = function (...given) {
      if (failures-- > 0) throw new DOMException("for a moment", "UnknownError")
      return open.apply(this, given)
    }`)
  await run(opened.page, "open()")
  await shows(opened.page, "[ ] milk")
})

test("a database of a newer version is an error, not an empty memory with a login page", async () => {
  await using opened = await openAgain(`
    const open = IDBFactory.prototype.open
    IDBFactory.prototype.open = function (name) {
      if (!window.isMended) throw new DOMException("a newer one", "VersionError")
      return open.call(this, name, 1)
    }`)
  expect(await failing(opened.page, "client.user()")).toBe("STORAGE_FAILED")
  expect(await failing(opened.page, "client.todos.live()")).toBe("STORAGE_FAILED")
  await run(opened.page, "isMended = true")
  await run(opened.page, "open()")
  await shows(opened.page, "[ ] milk")
})

test("a refresh that ends just after another tab's log-out does not log in again", async () => {
  await using opened = await openAgain(`
    const transaction = IDBDatabase.prototype.transaction
    IDBDatabase.prototype.transaction = function (name, mode) {
      // What another tab's log-out writes, between the last read and this write.
      if (window.isLate && mode === "readwrite") {
        window.isLate = false
        transaction.call(this, name, mode).objectStore(name).delete("session")
      }
      return transaction.call(this, name, mode)
    }
    const reach = fetch
    window.fetch = async (address, init) => {
      const isRefresh = String(address).endsWith("/auth/refresh")
      if (window.isExpired && !isRefresh) return new Response(JSON.stringify({
        error_code: "UNAUTHORIZED", status: 401, title: "", detail: "" }),
        { status: 401, headers: { "content-type": "application/problem+json" } })
      const answer = await reach(address, init)
      if (isRefresh) Object.assign(window, { isExpired: false, isLate: true })
      return answer
    }`)
  const { page } = opened
  expect(await run(page, "client.user().then(Boolean)")).toBe(true)
  await run(page, "isExpired = true")
  expect(await failing(page, "client.todos.list()")).toBe("UNAUTHORIZED")
  expect(await run(page, "isLate")).toBe(false)
  expect(await run(page, "client.user().then(Boolean)")).toBe(false)
})

test("a page of a newer version can raise the database's version while old tabs are open", async () => {
  await using opened = await openAgain("")
  await run(opened.page, "open()")
  const newer = await openPage(opened.context, app.url, script)
  const raised = await run(
    newer,
    `new Promise((resolve) => {
      const request = indexedDB.open("todo-api ${app.url}", 2)
      request.onupgradeneeded = () => {}
      request.onsuccess = () => resolve("raised")
      request.onblocked = () => resolve("blocked")
    })`,
  )
  expect(raised).toBe("raised")
})

test("where the disk is full edits go on in memory, are sent, and tell so", async () => {
  await using opened = await openAgain(`
    const put = IDBObjectStore.prototype.put
    IDBObjectStore.prototype.put = function (...given) {
      const request = put.apply(this, given)
      if (!window.isFull) return request
      window.puts = (window.puts ?? 0) + 1
      Object.defineProperty(this.transaction, "error", {
        value: new DOMException("full", "QuotaExceededError") })
      this.transaction.abort()
      return request
    }`)
  const { page, context } = opened
  await run(page, "open()")
  const tab = await openPage(context, app.url, script)
  await run(tab, "open()")
  for (const one of [page, tab]) await run(one, "isFull = true")
  await run(page, `create("oats")`)
  expect(await run(page, "live.status().is_stored")).toBe(false)
  await run(tab, `create("rice")`)
  for (const one of [page, tab]) await shows(one, "[ ] milk", "[ ] oats", "[ ] rice")
  await says(page, "0 online")
  await page.evaluate("puts = 0")
  await page.waitForTimeout(3_000)
  expect(Number(await run(page, "puts"))).toBeLessThan(50)
  for (const one of [page, tab]) await run(one, "isFull = false")
  await run(page, `create("tea")`)
  await page.waitForFunction("live.status().is_stored && live.status().pending === 0")
  await page.reload()
  await page.waitForFunction("window.isReady")
  await run(page, "open()")
  await shows(page, "[ ] milk", "[ ] oats", "[ ] rice", "[ ] tea")
})
