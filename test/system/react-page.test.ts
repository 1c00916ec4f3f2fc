/** The React example in Chromium: it renders what changes, and nothing where nothing does. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { createClient, memoryStorage } from "../../src/client/index.ts"
import { startApp } from "../support/app.ts"
import { launchChromium } from "../support/chromium.ts"

const origin = "http://127.0.0.1:5174"

const bundle = async () => {
  const { outputs } = await Bun.build({
    entrypoints: [join(import.meta.dir, "..", "support", "pages", "react.ts")],
    target: "browser",
    // React then says in the console what is wrong with a component.
    define: { "process.env.NODE_ENV": '"development"' },
  })
  return (await outputs[0]?.text()) ?? ""
}

test("a component shows the copy, an edit at once, and another's edit by itself", async () => {
  const script = await bundle()
  await using app = await startApp({ CORS_ORIGINS: origin })
  await using browser = await launchChromium()
  const page = await browser.newPage()
  const complaints: string[] = []
  page.on("console", (message) => {
    // The browser's own line for every answer like the refusal below.
    const isRefusal = message.text().startsWith("Failed to load resource")
    if (/error|warning/.test(message.type()) && !isRefusal) complaints.push(message.text())
  })
  page.on("pageerror", (error) => complaints.push(error.message))
  await page.route(`${origin}/**`, (route) =>
    route.request().url().endsWith(".js")
      ? route.fulfill({ body: script, contentType: "text/javascript" })
      : route.fulfill({
          body: `<!doctype html><link rel="icon" href="data:,"><body></body><script src="/page.js"></script>`,
          contentType: "text/html",
        }),
  )
  await page.goto(`${origin}/`)
  const account = { email: "ada@example.org", password: "correct horse battery" }
  await page.evaluate(`start(${JSON.stringify(app.url)}, ${JSON.stringify(account)})`)
  const shows = (items: string, status: string) =>
    page.waitForFunction(
      `[...document.querySelectorAll("li")].map((item) => item.textContent).join() === ${JSON.stringify(items)}
      && document.querySelector("output")?.textContent === ${JSON.stringify(status)}`,
    )
  await shows("", "0 true 0")

  // The first update: this page's own, before the service knows of it and after.
  await page.evaluate(`live.create({ title: "Buy milk" })`)
  await shows("[ ] Buy milk", "0 true 0")
  // The second: somebody else's.
  const desk = createClient({ url: app.url, storage: memoryStorage() })
  await desk.logIn(account)
  const [todo] = await desk.todos.list()
  await desk.todos.update(todo?.id ?? 0, { title: "Buy oats", is_completed: true })
  await shows("[x] Buy oats", "0 true 0")
  await page.evaluate(`live.create({ title: "" }).catch(() => {})`)
  await shows("[x] Buy oats", "0 true 0")

  const renders = await page.evaluate<string[]>(`(async () => {
    const renders = []
    for (let frame = 0; frame < 5; frame++) {
      await new Promise(requestAnimationFrame)
      renders.push(document.querySelector("data").textContent)
    }
    return renders
  })()`)
  expect(new Set(renders).size).toBe(1)
  expect(complaints).toEqual([])
}, 60_000)
