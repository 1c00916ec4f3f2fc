/** A page without a framework that has the client as it is packed, and a list of what it shows. */
import { afterAll } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { BrowserContext, Page } from "playwright-core"
import { buildClient } from "../../.ci/build-client.ts"
import { startApp } from "./app.ts"
import { launchChromium } from "./chromium.ts"
import { temporaryDirectory } from "./temporary.ts"

/** The page's, which no server has: it is there without a network, as a service worker keeps it. */
export const origin = "http://127.0.0.1:5173"

const html = (
  url: string,
) => `<!doctype html><title>Todos</title><ul></ul><output></output><script type="module">
  import { createClient } from "/client.js"
  const client = createClient({ url: "${url}" })
  const render = (live) => () => {
    const items = live.list().map(({ title, is_completed }) => {
      const item = document.createElement("li")
      item.textContent = (is_completed ? "[x] " : "[ ] ") + title
      return item
    })
    document.querySelector("ul").replaceChildren(...items)
    const { pending, is_online } = live.status()
    document.querySelector("output").textContent = pending + (is_online ? " online" : " offline")
  }
  window.client = client
  window.open = async (account, isNew) => {
    if (account) await (isNew ? client.register(account) : client.logIn(account))
    window.live = await client.todos.live()
    if (window.isQuiet) return
    live.subscribe(render(live))
    render(live)()
  }
  window.create = (title) => live.create({ title })
  window.complete = (title) =>
    live.update(live.list().find((todo) => todo.title === title).id, { is_completed: true })
  window.isReady = true
</script>`

export const openPage = async (context: BrowserContext, url: string, script: string) => {
  const page = await context.newPage()
  // A slow machine is no failure: the limit of the test ends what hangs.
  page.setDefaultTimeout(0)
  await page.route(`${origin}/`, (route) =>
    route.fulfill({ body: html(url), contentType: "text/html" }),
  )
  await page.route(`${origin}/client.js`, (route) =>
    route.fulfill({ body: script, contentType: "text/javascript" }),
  )
  await page.goto(`${origin}/`)
  await page.waitForFunction("window.isReady")
  return page
}

export const run = (page: Page, code: string) => page.evaluate(code)
export const shows = (page: Page, ...items: string[]) =>
  page.waitForFunction(
    `[...document.querySelectorAll("li")].map((item) => item.textContent).sort().join() === ${JSON.stringify(
      items.toSorted().join(),
    )}`,
  )
export const says = (page: Page, text: string) =>
  page.locator("output", { hasText: text }).waitFor()

export const buildScript = async () => {
  using directory = temporaryDirectory()
  await buildClient(join(directory.path, "client"))
  return readFileSync(join(directory.path, "client", "index.js"), "utf8")
}

/** One service and one Chromium for all tests of a file. */
export const sharePages = async () => {
  const browser = await launchChromium()
  const app = await startApp({ CORS_ORIGINS: origin })
  const script = await buildScript()
  afterAll(async () => {
    await browser.close()
    await app[Symbol.asyncDispose]()
  })
  let users = 0
  const newAccount = () =>
    JSON.stringify({ email: `page-${++users}@example.org`, password: "correct horse" })
  return { browser, app, script, newAccount }
}
