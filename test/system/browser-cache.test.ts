/** What Chromium stores of one user is not shown to the next, who logs in by the same browser. */
import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"
import { launchChromium } from "../support/chromium.ts"

test("after a logout and a login of somebody else, a plain fetch gets the latter's todos", async () => {
  await using app = await startApp()
  const [ada, bob] = [await app.account(), await app.account()]
  for (const [user, name] of [
    [ada, "ada"],
    [bob, "bob"],
  ] as const)
    for (const title of ["first", "second"])
      await user.post("/todos", { title: `${name}'s ${title}` })
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(0)
    await page.goto(`${app.url}/health/live`)
    const get = (token: string, path: string) =>
      page.evaluate(
        async ([token, path]) => {
          const headers = { authorization: `Bearer ${token}` }
          const response = await fetch(`/api/v1${path}`, { headers })
          return (await response.json()) as unknown
        },
        [token, path] as const,
      )
    const paths = ["/todos", "/todos?limit=50&sort=-created_at", "/todos?q=first&count=true"]
    for (const path of [...paths, "/todos/changes"]) await get(ada.token, path)
    await ada.post("/auth/logout")
    for (const path of paths) {
      const titles = JSON.stringify(await get(bob.token, path))
      expect([path, titles]).toEqual([path, expect.stringContaining("bob's")])
      expect(titles).not.toContain("ada's")
    }
    expect(JSON.stringify(await get(bob.token, "/todos/changes"))).not.toContain("ada's")
  } finally {
    await browser.close()
  }
})
