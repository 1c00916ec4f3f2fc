/**
 * The example application in Chromium and in Firefox, as people use it: without a network, in two tabs,
 * with the questions of a log-out and of a deletion. `SCREENS=1` takes the README's pictures anew.
 */
import { expect, test } from "bun:test"
import { join } from "node:path"
import puppeteer, { type Browser, type Page } from "puppeteer-core"
import { startApp } from "../support/app.ts"
import { startCable } from "../support/cable.ts"
import { serveExample } from "../support/example.ts"

const browsers = {
  Chromium: () =>
    puppeteer.launch({
      timeout: 0,
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-features=LocalNetworkAccessChecks"],
    }),
  Firefox: () =>
    puppeteer.launch({
      browser: "firefox",
      timeout: 0,
      executablePath: process.env["FIREFOX"] ?? "/usr/bin/firefox-esr",
    }),
}

const openTab = async (browser: Browser, address: string, complaints: string[]) => {
  const page = await browser.newPage()
  // A slow machine is no failure: the limit of the test ends what hangs.
  page.setDefaultTimeout(0)
  const complain = (text: string) => {
    // The browser's own line for every request that fails.
    if (!/Failed to load resource|Cross-Origin Request Blocked/.test(text)) complaints.push(text)
  }
  page.on("console", (message) => {
    if (/error|warn/.test(message.type())) complain(message.text())
  })
  page.on("pageerror", (error) => complain(String(error)))
  await page.goto(address, { waitUntil: "domcontentloaded" })
  return page
}

/** Waits until an expression is true in the page. Not by frames: a hidden tab has none. */
const until = (page: Page, code: string) => page.waitForFunction(code, { polling: 50 })
const says = (page: Page, text: string) =>
  until(page, `document.body.textContent.includes(${JSON.stringify(text)})`)
const TITLES = `[...document.querySelectorAll(".todos .title")].map((title) => title.textContent).join()`
const shows = (page: Page, ...titles: string[]) =>
  until(page, `${TITLES} === ${JSON.stringify(titles.join())}`)
const isSaved = (page: Page) => until(page, `!document.querySelector(".todos .pending")`)
/** By the page's own events: so they reach a hidden tab, too, in every browser. */
const actOn = (page: Page, found: string, action: string) =>
  until(
    page,
    `(() => {
      const element = ${found}
      if (!element) return false
      ${action}
      return true
    })()`,
  )
const act = (page: Page, selector: string, action: string) =>
  actOn(page, `document.querySelector(${JSON.stringify(selector)})`, action)
const click = (page: Page, selector: string) => act(page, selector, "element.click()")
const button = (text: string) =>
  `[...document.querySelectorAll("button:enabled")].find(({ textContent }) => textContent === ${JSON.stringify(text)})`
const press = (page: Page, text: string) => actOn(page, button(text), "element.click()")
const fill = (page: Page, selector: string, text: string) =>
  act(
    page,
    selector,
    `Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set
      .call(element, ${JSON.stringify(text)})
    element.dispatchEvent(new Event("input", { bubbles: true }))`,
  )
const add = async (page: Page, title: string) => {
  await fill(page, "[aria-label='New todo']", title)
  await press(page, "Add")
  await until(page, `document.querySelector("[aria-label='New todo']").value === ""`)
}

/** The keys of everything that the browser keeps of the client. */
const STORED = `(async () => {
  const [{ name }] = await indexedDB.databases()
  const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)))
  const opened = await done(indexedDB.open(name))
  return done(opened.transaction("values").objectStore("values").getAllKeys())
})()`

for (const [name, launch] of Object.entries(browsers))
  test(`people use the example application in ${name}`, async () => {
    using example = await serveExample()
    await using app = await startApp({ CORS_ORIGINS: example.origin })
    using cable = await startCable(app.url)
    const browser = await launch()
    const complaints: string[] = []
    const takePicture = async (page: Page, file: string) => {
      const path = join(
        import.meta.dir,
        "../client/examples/todos",
        `${file}.png`,
      ) as `${string}.png`
      if (process.env["SCREENS"] && name === "Chromium") await page.screenshot({ path })
    }
    try {
      const page = await openTab(browser, example.address(cable.url), complaints)
      await page.setViewport({ width: 640, height: 480 })
      await fill(page, "[name=email]", "ada@example.org")
      await fill(page, "[name=password]", "correct horse battery")
      await press(page, "Register")
      await says(page, "Nothing to do.")
      await add(page, "Buy milk")
      await add(page, "Buy oats")
      const tab = await openTab(browser, example.address(cable.url), complaints)
      await shows(tab, "Buy milk", "Buy oats")

      // Somebody renames a todo while its creation is confirmed: the text stays, and so does the focus.
      await add(page, "Call")
      await shows(page, "Buy milk", "Buy oats", "Call")
      await page.bringToFront()
      const twice = `element.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))`
      await act(page, ".todos li:last-child .title", twice)
      await until(page, `document.activeElement.ariaLabel === "Title"`)
      await page.keyboard.press("End")
      await page.keyboard.type(" Bob")
      await isSaved(page)
      await page.keyboard.press("Enter")
      await shows(tab, "Buy milk", "Buy oats", "Call Bob")

      await click(page, "[aria-label='Delete: Buy milk']")
      await shows(tab, "Buy oats", "Call Bob")
      await says(page, "Deleted “Buy milk”")
      await takePicture(page, "undo")
      await press(page, "Undo")
      await shows(tab, "Buy milk", "Buy oats", "Call Bob")

      await isSaved(page)
      cable.pull()
      await add(page, "Without a network")
      await says(page, "You are offline. 1 edit waits.")
      await shows(tab, "Buy milk", "Buy oats", "Call Bob", "Without a network")
      await takePicture(page, "offline")
      await page.reload({ waitUntil: "domcontentloaded" })
      await shows(page, "Buy milk", "Buy oats", "Call Bob", "Without a network")
      await press(page, "Log out")
      await says(page, "Not sent yet: 1 of your edits.")
      await takePicture(page, "log-out")
      await press(page, "Cancel")
      await until(page, `${button("Try again")} !== undefined`)
      cable.plug()
      // The client may try again by itself before, and the button is gone.
      await page.evaluate(`${button("Try again")}?.click()`)
      await isSaved(page)
      await press(page, "Complete all")
      await says(tab, "0 open")
      // What is not sent yet would be asked about.
      await isSaved(page)

      await press(page, "Log out")
      for (const one of [page, tab]) await until(one, `document.querySelector("[name=log-in]")`)
      await fill(page, "[name=email]", "ada@example.org")
      await fill(page, "[name=password]", "correct horse battery")
      await press(page, "Log in")
      for (const one of [page, tab])
        await shows(one, "Buy milk", "Buy oats", "Call Bob", "Without a network")

      await press(page, "Delete account")
      await fill(page, "[name=password]", "correct horse battery")
      await press(page, "Delete everything")
      for (const one of [page, tab]) await until(one, `document.querySelector("[name=log-in]")`)
      await until(page, `${STORED}.then((keys) => keys.length === 0)`)
      expect(complaints).toEqual([])
    } catch (error) {
      for (const page of await browser.pages())
        console.log(page.url(), await page.evaluate("document.body.innerText"), complaints)
      throw error
    } finally {
      await browser.close()
    }
  }, 600_000)
