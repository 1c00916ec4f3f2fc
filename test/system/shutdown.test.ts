/** Signals: what is under way is answered, and then the service ends. */
import { expect, test } from "bun:test"
import { closeSync, openSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "../support/client.ts"
import { type Command, program } from "../support/command.ts"
import { freePort } from "../support/ports.ts"
import { createDatabase } from "../support/postgres.ts"
import { startProcess } from "../support/process.ts"
import { openRaw, rawRequest } from "../support/raw.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

/** So long who has a connection is told: half of it is allowed for the way there. */
const DRAIN_MS = 250 / 2

const TITLE = JSON.stringify({ title: "sent slowly" })

/** A request that is under way until its body is finished. */
const openSlow = async (service: Pick<Command, "url" | "call">, token: string) => {
  const client = openRaw(service.url)
  const headers = {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    "Content-Length": String(TITLE.length),
  }
  await client.send(rawRequest("POST /api/v1/todos", headers, TITLE.slice(0, 5)))
  // What was sent later is answered, twice as it may be new too: then the service has read the other.
  for (let times = 0; times < 2; times++) await service.call("GET", "/health/live")
  return { client, finish: () => client.send(TITLE.slice(5)) }
}

const takesConnections = ({ url }: { url: string }) =>
  fetch(`${url}/health/live`, { keepalive: false }).then(
    () => true,
    () => false,
  )

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test.concurrent(`${signal} answers what is under way, takes nothing new, and ends with 0`, async () => {
    await using service = await startProcess()
    const ada = await service.user()
    const { client, finish } = await openSlow(service, ada.token)
    const idle = openRaw(service.url)
    await idle.send(rawRequest("GET /health/ready"))
    expect(await idle.statuses(1)).toEqual([200])

    service.kill(signal)
    const stoppedAt = await service.untilLogged("stopping")
    // Who has a connection is told, and sent away; nobody else gets one soon after.
    await idle.send(rawRequest("GET /health/ready"))
    // On a busy machine the test is late: the connection may be closed already.
    const isLate = Date.now() - stoppedAt > DRAIN_MS
    const statuses = await idle.statuses(2)
    if (!isLate || statuses.length > 1) {
      expect(statuses).toEqual([200, 503])
      expect(idle.received).toMatch(/\r\nconnection: close\r\n/i)
    }
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
  const start = async (seconds: string) => {
    const service = await startProcess({ SHUTDOWN_TIMEOUT_SECONDS: seconds })
    return { ...service, ...(await openSlow(service, (await service.user()).token)) }
  }
  await using patient = await start("4")
  await using service = await start("1")
  patient.kill("SIGTERM")
  service.kill("SIGTERM")
  // The other one, which was told before, is a control: it ends in time for its own limit.
  const first = await Promise.race([service.exited.then(() => "1"), patient.exited.then(() => "4")])
  expect(first).toBe("1")
  for (const { exited, client, log } of [service, patient]) {
    expect(await exited).toBe(0)
    await client.closed
    expect(await log()).toContain("cut off")
  }
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
  // It finds both at once. Two of a kind would be one to the kernel already.
  service.kill("SIGSTOP")
  service.kill("SIGINT")
  service.kill("SIGTERM")
  service.kill("SIGCONT")
  await service.untilLogged("stopping")
  await finish()
  expect(await client.statuses(1)).toEqual([201])
  expect(await service.exited).toBe(0)
})

/** Its output is a pipe that is full, and that nobody reads. */
const startUnread = async (settings: Record<string, string>) => {
  const directory = temporaryDirectory()
  const { url, drop } = await createDatabase()
  const path = join(directory.path, "log")
  Bun.spawnSync(["mkfifo", path])
  const pipe = openSync(path, "r+")
  const port = freePort()
  const command = Bun.spawn([...program, "serve"], {
    cwd: tmpdir(),
    env: {
      PATH: process.env["PATH"] ?? "",
      DATABASE_URL: url,
      SECRET_KEY,
      ...settings,
      PORT: `${port}`,
    },
    stdio: ["ignore", pipe, pipe],
  })
  const address = `http://127.0.0.1:${port}`
  const live = () => fetch(`${address}/health/live`).then(({ ok }) => ok)
  while (!(await live().catch(() => false))) await Bun.sleep(20)
  // A line each, three times as much as the pipe holds.
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, live))
  await Bun.sleep(200)
  return {
    command,
    ...createClient(address),
    url: address,
    async [Symbol.asyncDispose]() {
      command.kill("SIGKILL")
      await command.exited
      closeSync(pipe)
      directory[Symbol.dispose]()
      await drop()
    },
  }
}

test.concurrent("a stop ends in time although the log is a full pipe that nobody reads", async () => {
  await using patient = await startUnread({ SHUTDOWN_TIMEOUT_SECONDS: "10" })
  await using service = await startUnread({ SHUTDOWN_TIMEOUT_SECONDS: "2" })
  for (const unread of [patient, service]) await openSlow(unread, (await unread.user()).token)
  for (const { command } of [patient, service]) command.kill("SIGTERM")
  const ended = async (name: string, { command }: typeof service) => [name, await command.exited]
  const first = await Promise.race([ended("in 2", service), ended("in 10", patient)])
  expect(first).toEqual(["in 2", 0])
})

test.concurrent("a second signal ends at once although nobody reads the log", async () => {
  await using service = await startUnread({ SHUTDOWN_TIMEOUT_SECONDS: "60" })
  await openSlow(service, (await service.user()).token)
  service.command.kill("SIGTERM")
  // It has had the first, more than a second before the second.
  while (await takesConnections(service)) await Bun.sleep(20)
  await Bun.sleep(1_100)
  service.command.kill("SIGTERM")
  // By the end of its time it would be 0.
  expect(await service.command.exited).toBe(1)
})
