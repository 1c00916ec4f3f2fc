/** What the client costs in Chromium: its figures are those of the README. */
import { expect, test } from "bun:test"
import type { Page } from "playwright-core"
import { openPage, run, says, sharePages } from "../../support/client-page.ts"
import { tenthsOf } from "../../support/pace.ts"
import { insertMany } from "../../support/rows.ts"
import { openSql } from "../../support/sql.ts"

const { browser, app, script, newAccount } = await sharePages()

/** Counts the bytes that are written, and how long the page could do nothing else. */
const measuring = `
  window.isQuiet = true
  window.measure = async (work) => {
    const seen = { bytes: 0, blocked: 0, stored: 0 }
    const put = IDBObjectStore.prototype.put
    IDBObjectStore.prototype.put = function (value, key) {
      seen.bytes += JSON.stringify(value).length
      return put.call(this, value, key)
    }
    let isOver = false
    const look = (before) => {
      const now = performance.now()
      seen.blocked = Math.max(seen.blocked, now - before)
      if (!isOver) setTimeout(look, 0, now)
    }
    setTimeout(look, 0, performance.now())
    await new Promise((resolve) => setTimeout(resolve, 50))
    const before = performance.now()
    await work()
    seen.stored = performance.now() - before
    await new Promise((resolve) => setTimeout(resolve, 50))
    isOver = true
    IDBObjectStore.prototype.put = put
    return seen
  }`
type Seen = { bytes: number; blocked: number; stored: number }

const report = (what: string, figures: Record<string, number>) => {
  const rounded = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value)}`)
  console.log(`${what}: ${rounded.join(", ")}`)
}

test("2,000 edits of a tick are stored together, offline, and sent when the network is back", async () => {
  await using context = await browser.newContext()
  await context.addInitScript({ content: measuring })
  const page = await openPage(context, app.url, script)
  await run(page, `open(${newAccount()}, true)`)
  const create = `live.createMany(Array.from({ length: 2000 }, (_, index) => ({ title: "todo " + index })))`
  const edits = {
    "2,000 creates": create,
    "2,000 updates": "live.updateMany(live.list().map(({ key }) => key), { is_completed: true })",
    "2,000 single updates of a tick":
      "Promise.all(live.list().map(({ key }) => live.update(key, { is_completed: false })))",
    "2,000 deletes": "live.deleteMany(live.list().map(({ key }) => key))",
  }
  for (const [what, edit] of Object.entries(edits)) {
    await page.context().setOffline(true)
    const seen = (await run(page, `measure(() => ${edit})`)) as Seen
    report(what, { ...seen })
    expect(await run(page, "live.status().pending")).toBe(2_000)
    // Until the leader has found out that it is offline it marks what it sends.
    await page.waitForFunction("live.status().is_stored")
    await page.context().setOffline(false)
    await page.waitForFunction("live.status().pending === 0")
  }
})

test("an edit in a replica of 100,000 todos writes kilobytes, and other tabs show it", async () => {
  await using context = await browser.newContext()
  await context.addInitScript({ content: measuring })
  const page = await openPage(context, app.url, script)
  await run(page, `open(${newAccount()}, true)`)
  const id = (await run(page, "client.user().then((user) => user.id)")) as number
  const sql = openSql(app.databaseUrl)
  await insertMany(sql, id, 100_000)
  await sql.end()
  const started = performance.now()
  await run(page, "live.create({ title: 'last' })")
  await page.waitForFunction("live.list().length === 100001")
  const synced = performance.now() - started
  const other = await openPage(context, app.url, script)
  const opening = performance.now()
  await run(other, "open()")
  await other.waitForFunction("live.list().length === 100001")
  const opened = performance.now() - opening
  const edit = "live.update(live.list()[50000].key, { title: 'changed' })"
  const seen = (await run(page, `measure(() => ${edit})`)) as Seen
  await other.waitForFunction("live.list()[50000].title === 'changed'")
  report("100,000 todos", { ...seen, synced, opened })
  expect(seen.bytes).toBeLessThan(10_000)
})

/** Counts the transactions that are open. */
const counting = `
  window.transactions = 0
  const begin = IDBDatabase.prototype.transaction
  IDBDatabase.prototype.transaction = function (...given) {
    const transaction = begin.apply(this, given)
    window.transactions++
    for (const end of ["complete", "abort"])
      transaction.addEventListener(end, () => window.transactions--)
    return transaction
  }`

/**
 * Stops the JavaScript of a tab, as browsers do with suspended ones. Not within a transaction: they suspend no tab
 * that others wait for, and end one only after a minute.
 */
const stopScripts = async (page: Page) => {
  const debug = await page.context().newCDPSession(page)
  await debug.send("Debugger.enable")
  const paused = new Promise((resolve) => debug.once("Debugger.paused", resolve))
  const stop = `(async () => {
    while (window.transactions > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    debugger
  })()`
  page.evaluate(stop).catch(() => {})
  await paused
  return () => debug.send("Debugger.resume")
}

test("another tab takes over from one that hangs, and the one that wakes goes on", async () => {
  await using context = await browser.newContext()
  await context.addInitScript({ content: counting })
  const [first, second] = [
    await openPage(context, app.url, script),
    await openPage(context, app.url, script),
  ]
  await run(first, `open(${newAccount()}, true)`)
  await run(second, "open()")
  await says(second, "0 online")

  const times: number[] = []
  for (let turn = 0; turn < 10; turn++) {
    const before = (await run(second, "performance.now()")) as number
    await run(first, `create("of the first ${turn}")`)
    await second.waitForFunction(
      `live.list().some(({ title }) => title === "of the first ${turn}")`,
      undefined,
      { polling: 5 },
    )
    times.push(((await run(second, "performance.now()")) as number) - before)
  }
  report("tab to tab", { longest: Math.max(...times), median: times.sort((a, b) => a - b)[5] ?? 0 })

  const resume = await stopScripts(first)
  const takeOver = async () => {
    await run(second, `create("of the second")`)
    await says(second, "0 online")
  }
  const [, tenths] = await tenthsOf(takeOver(), () => run(second, "new Promise(setTimeout)"))
  report("takeover", { tenths })
  expect(tenths).toBeLessThan(50)
  await resume()
  await run(first, `create("of the first again")`)
  for (const page of [first, second])
    await page.waitForFunction("live.list().length === 12 && live.status().pending === 0")
})
