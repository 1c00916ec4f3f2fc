import { expect, test } from "bun:test"
import { startCommand } from "./support/command.ts"
import { createDatabase } from "./support/postgres.ts"
import { openRaw, rawRequest } from "./support/raw.ts"

const start = async (settings = {}) => {
  const { url, drop } = await createDatabase()
  const service = await startCommand({ DATABASE_URL: url, ...settings })
  return {
    ...service,
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]()
      await drop()
    },
  }
}

const TITLE = JSON.stringify({ title: "sent slowly" })

/** A request that is under way until its body is finished. */
const openSlow = async (service: Awaited<ReturnType<typeof start>>, token: string) => {
  const client = openRaw(service.url)
  const headers = {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    "Content-Length": String(TITLE.length),
  }
  await client.send(rawRequest("POST /api/v1/todos", headers, TITLE.slice(0, 5)))
  await Bun.sleep(50)
  return { client, finish: () => client.send(TITLE.slice(5)) }
}

const takesConnections = ({ url }: { url: string }) =>
  fetch(`${url}/health/live`, { keepalive: false }).then(
    () => true,
    () => false,
  )

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test.concurrent(`${signal} answers what is under way, takes nothing new, and ends with 0`, async () => {
    await using service = await start()
    const ada = await service.user()
    const { client, finish } = await openSlow(service, ada.token)
    const idle = openRaw(service.url)
    await idle.send(rawRequest("GET /health/ready"))
    expect(await idle.statuses(1)).toEqual([200])

    service.kill(signal)
    await service.untilLogged("stopping")
    // Who has a connection is told, and sent away; nobody else gets one soon after.
    await idle.send(rawRequest("GET /health/ready"))
    expect(await idle.statuses(2)).toEqual([200, 503])
    expect(idle.received).toMatch(/\r\nconnection: close\r\n/i)
    await idle.closed
    const told = performance.now()
    while (await takesConnections(service)) await Bun.sleep(20)
    expect(performance.now() - told).toBeLessThan(2_000)
    expect(client.received).toBe("")
    await finish()
    expect(await client.statuses(1)).toEqual([201])
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i)
    await client.closed
    expect(await service.exited).toBe(0)
    expect(await service.log()).toContain('"msg":"stopped"')
  }, 20_000)
}

test.concurrent("a request that does not end is cut off in time for SHUTDOWN_TIMEOUT_SECONDS", async () => {
  await using service = await start({ SHUTDOWN_TIMEOUT_SECONDS: "1" })
  const ada = await service.user()
  const { client } = await openSlow(service, ada.token)
  const start_ = performance.now()
  service.kill("SIGTERM")
  expect(await service.exited).toBe(0)
  expect(performance.now() - start_).toBeLessThan(1_500)
  await client.closed
  expect(await service.log()).toContain("cut off")
}, 20_000)

test.concurrent("a second signal, a second later, ends at once", async () => {
  await using service = await start()
  const ada = await service.user()
  await openSlow(service, ada.token)
  service.kill("SIGTERM")
  await service.untilLogged("stopping")
  await Bun.sleep(1_100)
  const told = performance.now()
  service.kill("SIGTERM")
  expect(await service.exited).toBe(1)
  expect(performance.now() - told).toBeLessThan(1_000)
}, 20_000)

test.concurrent("a signal that arrives twice, as a runner passes it on, is one", async () => {
  await using service = await start()
  const ada = await service.user()
  const { client, finish } = await openSlow(service, ada.token)
  service.kill("SIGINT")
  service.kill("SIGINT")
  await service.untilLogged("stopping")
  service.kill("SIGINT")
  await Bun.sleep(300)
  await finish()
  expect(await client.statuses(1)).toEqual([201])
  expect(await service.exited).toBe(0)
}, 20_000)
