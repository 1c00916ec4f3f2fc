/** The client in Chromium: tabs of one profile, another profile, offline, a reload. */
import { afterAll, beforeAll, test } from "bun:test"
import type { Browser, Request } from "playwright-core"
import { startApp } from "../support/app.ts"
import { launchChromium } from "../support/chromium.ts"
import { buildScript, openPage, origin, run, says, shows } from "../support/client-page.ts"

let browser: Browser
beforeAll(async () => {
  browser = await launchChromium()
})
afterAll(() => browser.close())

test("two tabs and another profile stay in step; one goes offline, edits, reloads, and comes back", async () => {
  await using app = await startApp({ CORS_ORIGINS: origin })
  const script = await buildScript()
  const [home, elsewhere] = [await browser.newContext(), await browser.newContext()]
  const one = await openPage(home, app.url, script)
  const two = await openPage(home, app.url, script)
  const three = await openPage(elsewhere, app.url, script)

  const streams = new Set<Request>()
  const end = (request: Request) => streams.delete(request)
  for (const page of [one, two, three])
    page
      .on("request", (request) => {
        const isStream = request.method() === "GET" && request.url().endsWith("/events")
        if (isStream) streams.add(request)
      })
      .on("requestfinished", end)
      .on("requestfailed", end)

  const account = JSON.stringify({ email: "ada@example.org", password: "correct horse" })
  await run(one, `open(${account}, true)`)
  await run(two, "open()")
  await run(three, `open(${account}, false)`)
  await run(one, `create("milk")`)
  await run(two, `create("oats")`)
  await run(three, `create("rice")`)
  for (const page of [one, two, three]) await shows(page, "[ ] milk", "[ ] oats", "[ ] rice")
  for (const page of [one, two, three]) await says(page, "0 online")
  // The two tabs share theirs: if one was busy for seconds, the other has taken it over.
  while (streams.size !== 2) await one.waitForTimeout(20)

  await home.setOffline(true)
  await run(one, `create("offline")`)
  await run(two, `complete("milk")`)
  await shows(one, "[ ] offline", "[ ] oats", "[ ] rice", "[x] milk")
  await run(three, `complete("rice")`)
  await one.reload()
  await one.waitForFunction("window.isReady")
  await run(one, "open()")
  await shows(one, "[ ] offline", "[ ] oats", "[ ] rice", "[x] milk")
  await says(two, "offline")

  await home.setOffline(false)
  for (const page of [one, two, three])
    await shows(page, "[ ] oats", "[ ] offline", "[x] milk", "[x] rice")
  for (const page of [one, two]) await says(page, "0 online")
})

/** What some pages lack, and what some browsers do to them. */
const lacking = {
  "without locks (pages without TLS)": "delete Navigator.prototype.locks",
  "whose storage cannot be named": `Object.defineProperty(window, "indexedDB", {
    get() { throw new DOMException("blocked", "SecurityError") } })`,
  "whose storage cannot be opened": `IDBFactory.prototype.open = () => {
    throw new DOMException("blocked", "SecurityError") }`,
  "in a frame that may use no lock": `LockManager.prototype.request = () =>
    Promise.reject(new DOMException("denied", "SecurityError"))`,
}

for (const [name, content] of Object.entries(lacking))
  test(`two tabs ${name} stay in step, and no edit is lost or made twice`, async () => {
    await using app = await startApp({ CORS_ORIGINS: origin })
    const script = await buildScript()
    await using context = await browser.newContext()
    await context.addInitScript({ content })
    const [one, two] = [
      await openPage(context, app.url, script),
      await openPage(context, app.url, script),
    ]
    const account = JSON.stringify({ email: "ada@example.org", password: "correct horse" })
    await run(one, `open(${account}, true)`)
    await run(two, `open(${account}, false)`)
    await Promise.all([run(one, `create("milk")`), run(two, `create("oats")`)])
    for (const page of [one, two]) await shows(page, "[ ] milk", "[ ] oats")
    await Promise.all([run(one, `complete("milk")`), run(two, `complete("oats")`)])
    for (const page of [one, two]) await shows(page, "[x] milk", "[x] oats")
    for (const page of [one, two]) await says(page, "0 online")
  })
