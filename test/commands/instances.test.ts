/** Several instances on one port: only where it is asked for. */
import { expect, test } from "bun:test"
import { startApp } from "../support/app.ts"

test("a second instance on the same port is refused", async () => {
  await using app = await startApp()
  const { port } = new URL(app.url)
  const second = startApp({ DATABASE_URL: app.databaseUrl, PORT: port })
  await expect(second).rejects.toThrow()
})

test("with REUSE_PORT two instances serve on the same port", async () => {
  await using app = await startApp({ REUSE_PORT: "true" })
  const { port } = new URL(app.url)
  const second = await startApp({
    DATABASE_URL: app.databaseUrl,
    PORT: port,
    REUSE_PORT: "true",
  })
  await app.stop()
  expect((await second.call("GET", "/health/ready")).status).toBe(200)
  await second.stop()
})
