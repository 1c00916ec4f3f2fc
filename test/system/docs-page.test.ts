import { afterAll, beforeAll, expect, test } from "bun:test"
import type { Browser } from "playwright-core"
import { startApp } from "../support/app.ts"
import { launchChromium } from "../support/chromium.ts"

let browser: Browser
beforeAll(async () => {
  browser = await launchChromium()
}, 30_000)
afterAll(() => browser.close())

test("with the network cut, a todo is created from the reference, and no other host is asked", async () => {
  await using app = await startApp()
  const ada = await app.account()
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } })
  const elsewhere: string[] = []
  const refused: string[] = []
  await page.route(
    (url) => url.origin !== app.url && url.protocol !== "data:",
    (route) => {
      elsewhere.push(route.request().url())
      return route.abort()
    },
  )
  page.on("console", (message) => {
    if (message.text().startsWith("refused ")) refused.push(message.text())
  })
  await page.addInitScript({
    content: `addEventListener("securitypolicyviolation", (event) =>
      console.log("refused " + event.effectiveDirective + " " + event.blockedURI))`,
  })

  await page.goto(`${app.url}/`)
  expect(page.url()).toBe(`${app.url}/docs`)
  await page.getByPlaceholder("Token").first().fill(ada.token)
  await page.getByRole("link", { name: "Todos", exact: true }).click()
  await page.getByRole("link", { name: "Create a todo" }).click()
  await page.getByRole("button", { name: /^Test Request.*post .api.v1.todos\W*$/ }).click()
  await page.getByRole("button", { name: /^Send Request/ }).click()
  await page.locator("a", { hasText: "201 Created" }).waitFor()

  expect((await ada.get("/todos")).body).toMatchObject([{ title: "Buy milk" }])
  expect(elsewhere).toEqual([])
  // A library in the script asks whether it may compile code, and does without.
  expect(refused).toEqual(["refused script-src eval"])
}, 60_000)
