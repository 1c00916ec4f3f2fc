import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import axe from "axe-core"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { startApp } from "../support/app.ts"
import { launchChromium } from "../support/chromium.ts"
import { startNginxWith } from "../support/nginx.ts"
import { freePort } from "../support/ports.ts"

let browser: Browser
beforeAll(async () => {
  browser = await launchChromium()
})
afterAll(() => browser.close())

const desktop: BrowserContextOptions = { viewport: { width: 1440, height: 1000 } }
const phone: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
}

/** The page, and what it asked of other hosts or was refused by its policy. */
const openDocs = async ({ url }: { url: string }, options: BrowserContextOptions) => {
  const page = await browser.newPage(options)
  page.setDefaultTimeout(0)
  const elsewhere: string[] = []
  const refused: string[] = []
  await page.route(
    ({ origin, protocol }) => origin !== new URL(url).origin && protocol !== "data:",
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
  await page.goto(`${url}/`)
  expect(page.url()).toBe(`${url}/docs`)
  await page.getByPlaceholder("Token").first().waitFor()
  return { page, elsewhere, refused }
}

/** Opens the dialog that tries an operation: by its deep link, because the page renders what is near. */
const openDialog = async (page: Page, tag: string, method: string, path: string) => {
  await page.evaluate(`location.hash = "tag/${tag}/${method}${path}"`)
  const name = `Test Request (${method.toLowerCase()} ${path})`
  await page.getByRole("button", { name, exact: true }).click()
}

/** Sends the request as it is prefilled. */
const send = async (page: Page, tag: string, method: string, path: string) => {
  await openDialog(page, tag, method, path)
  const url = page.url().replace(/\/docs.*/, "")
  const [answer] = await Promise.all([
    page.waitForResponse(
      (response) =>
        response.request().method() === method && response.url().startsWith(`${url}/api/`),
    ),
    page.getByRole("button", { name: /^Send Request/ }).click(),
  ])
  const text = await answer.text()
  await page.keyboard.press("Escape")
  await page.getByRole("dialog").waitFor({ state: "hidden" })
  return { status: answer.status(), body: text === "" ? null : JSON.parse(text) }
}

test("with the network cut, the README's tour succeeds as the reference prefills it", async () => {
  await using app = await startApp()
  const { page, elsewhere, refused } = await openDocs(app, desktop)

  const registered = await send(page, "authentication", "POST", "/api/v1/auth/register")
  expect(registered).toMatchObject({ status: 201, body: { email: "ada@example.org" } })
  const session = await send(page, "authentication", "POST", "/api/v1/auth/login")
  expect(session.status).toBe(200)
  await page.getByPlaceholder("Token").first().fill(session.body.access_token)
  const created = await send(page, "todos", "POST", "/api/v1/todos")
  expect(created).toMatchObject({ status: 201, body: { id: 1, title: "Buy milk" } })
  const done = await send(page, "todos", "PATCH", "/api/v1/todos/{id}")
  expect(done).toMatchObject({ status: 200, body: { title: "Buy milk", is_completed: true } })
  const list = await send(page, "todos", "GET", "/api/v1/todos")
  expect(list).toEqual({ status: 200, body: [done.body] })
  const deleted = await send(page, "todos", "DELETE", "/api/v1/todos/{id}")
  expect(deleted.status).toBe(204)

  expect(elsewhere).toEqual([])
  expect(refused).toEqual([])
}, 600_000)

/** What our page and our colours decide. All else is Scalar's markup. */
const OURS = ["color-contrast", "document-title", "html-has-lang", "meta-viewport"]

/**
 * Nothing is drawn any more: frame after frame leaves the page as it is. What fades in has less
 * contrast until it is there, and a transition begins a frame after its element.
 */
const SETTLED = `(async () => {
  let frames = 0
  const observer = new MutationObserver(() => (frames = 0))
  const all = { childList: true, subtree: true, attributes: true, characterData: true }
  observer.observe(document, all)
  for (; frames < 10; frames++) await new Promise(requestAnimationFrame)
  observer.disconnect()
  const ends = document.getAnimations().filter(
    ({ effect }) => Number.isFinite(effect.getComputedTiming().endTime))
  await Promise.allSettled(ends.map(({ finished }) => finished))
})()`

const faults = async (page: Page): Promise<string[]> => {
  await page.evaluate(SETTLED)
  await page.evaluate(axe.source)
  return page.evaluate<string[]>(`(async () => {
    const { violations } = await axe.run(document, { runOnly: ${JSON.stringify(OURS)} })
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + " " + html))
  })()`)
}

for (const [name, options] of Object.entries({ desktop, phone }))
  for (const colorScheme of ["light", "dark"] as const)
    test(`axe finds no fault in our page and its colours (${name}, ${colorScheme})`, async () => {
      await using app = await startApp()
      const { page } = await openDocs(app, { ...options, colorScheme })
      expect(await faults(page)).toEqual([])
      await openDialog(page, "authentication", "POST", "/api/v1/auth/register")
      await page.getByRole("button", { name: /^Send Request/ }).waitFor()
      expect(await faults(page)).toEqual([])
    })

test("under a prefix of nginx the page finds its script, its document and the API", async () => {
  await using app = await startApp({ TRUSTED_PROXIES: "127.0.0.1" })
  const port = freePort()
  await using nginx = await startNginxWith(
    port,
    `server {
      listen 127.0.0.1:${port};
      location /todo-api/ {
        proxy_pass ${app.url}/;
        proxy_set_header X-Forwarded-Prefix /todo-api;
      }
    }`,
  )
  const { page, elsewhere, refused } = await openDocs({ url: `${nginx.url}/todo-api` }, desktop)
  const registered = await send(page, "authentication", "POST", "/api/v1/auth/register")
  expect(registered).toMatchObject({ status: 201, body: { email: "ada@example.org" } })
  expect(elsewhere).toEqual([])
  expect(refused).toEqual([])
})

const root = join(import.meta.dir, "../..")
/** `SCREENS=1` takes the README's picture anew, with the example application's own beside it. */
test.if(process.env["SCREENS"] !== undefined)("the reference can be shown", async () => {
  await using app = await startApp()
  const page = await browser.newPage({ viewport: { width: 1140, height: 855 } })
  await page.goto(`${app.url}/docs`, { waitUntil: "networkidle" })
  await page.evaluate(SETTLED)
  const reference = await page.screenshot()
  const example = readFileSync(join(root, "test/client/examples/todos/undo.png"))
  const image = (bytes: Buffer) =>
    `<img height=570 src="data:image/png;base64,${bytes.toString("base64")}">`
  await page.setViewportSize({ width: 1540, height: 590 })
  await page.setContent(
    `<body style="margin:10px;display:flex;gap:10px;background:#ddd">${image(reference)}${image(example)}`,
  )
  await page.screenshot({ path: join(root, ".github/todo-api.png") })
  await page.close()
})
