/** Signals: what is under way is answered, and then the service ends. */
import { expect, test } from "bun:test"
import type { Command } from "../support/command.ts"
import { startProcess } from "../support/process.ts"
import { openRaw, rawRequest } from "../support/raw.ts"

const TITLE = JSON.stringify({ title: "sent slowly" })

/** A request that is under way until its body is finished. */
const openSlow = async (service: Command, token: string) => {
  const client = openRaw(service.url)
  const headers = {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    "Content-Length": String(TITLE.length),
  }
  await client.send(rawRequest("POST /api/v1/todos", headers, TITLE.slice(0, 5)))
  // What was sent later is answered: then the service has read the other, too.
  await service.call("GET", "/health/live")
  return { client, finish: () => client.send(TITLE.slice(5)) }
}

const takesConnections = ({ url }: { url: string }) =>
  fetch(`${url}/health/live`, { keepalive: false }).then(
    () => true,
    () => false,
  )

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test.concurrent(`${signal} answers what is under way, takes nothing new, and ends with 0`, async () => {
    await using service = await startProcess()
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
    while (await takesConnections(service)) await Bun.sleep(20)
    expect(client.received).toBe("")
    await finish()
    expect(await client.statuses(1)).toEqual([201])
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i)
    await client.closed
    expect(await service.exited).toBe(0)
    expect(await service.log()).toContain('"msg":"stopped"')
  })
}

test.concurrent("a request that does not end is cut off in time for SHUTDOWN_TIMEOUT_SECONDS", async () => {
  await using service = await startProcess({ SHUTDOWN_TIMEOUT_SECONDS: "1" })
  const ada = await service.user()
  const { client } = await openSlow(service, ada.token)
  const told = performance.now()
  service.kill("SIGTERM")
  expect(await service.exited).toBe(0)
  // Without a limit of its own it would be ten seconds.
  expect(performance.now() - told).toBeLessThan(6_000)
  await client.closed
  expect(await service.log()).toContain("cut off")
})

test.concurrent("a second signal, a second later, ends at once", async () => {
  await using service = await startProcess()
  const ada = await service.user()
  await openSlow(service, ada.token)
  service.kill("SIGTERM")
  await service.untilLogged("stopping")
  await Bun.sleep(1_100)
  service.kill("SIGTERM")
  expect(await service.exited).toBe(1)
})

test.concurrent("a signal that arrives twice, as a runner passes it on, is one", async () => {
  await using service = await startProcess()
  const ada = await service.user()
  const { client, finish } = await openSlow(service, ada.token)
  // Two of a kind at the same time would be one to the kernel already.
  service.kill("SIGINT")
  service.kill("SIGTERM")
  await service.untilLogged("stopping")
  await finish()
  expect(await client.statuses(1)).toEqual([201])
  expect(await service.exited).toBe(0)
})
