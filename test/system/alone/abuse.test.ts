/** Clients that mean no good, many at once: nobody else waits, and memory stays bounded. */
import { expect, test } from "bun:test"
import { readdirSync, readFileSync } from "node:fs"
import { tenthsOf } from "../../support/pace.ts"
import { startProcess } from "../../support/process.ts"
import { openRaw, rawRequest } from "../../support/raw.ts"

const start = async () => {
  const service = await startProcess()
  const ada = await service.account()
  // Hashing a password takes memory that is given back a moment later.
  await Bun.sleep(1_000)
  const megabytes = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/status`, "utf8"))?.[1]) / 1024
  return {
    ...service,
    ada,
    megabytes,
    /** Somebody else does not wait meanwhile, compared with a service that nobody attacks. */
    async expectNoWait(control: { url: string }) {
      const [answer, tenths] = await tenthsOf(ada.get("/todos"), () =>
        fetch(`${control.url}/health/ready`),
      )
      expect(answer.status).toBe(200)
      expect(tenths).toBeLessThan(30)
    },
  }
}

type Client = ReturnType<typeof openRaw>

const openMany = async (count: number, url: string, bytes: string) => {
  const clients: Client[] = []
  while (clients.length < count) {
    const batch = Array.from({ length: Math.min(250, count - clients.length) }, () => openRaw(url))
    await Promise.all(batch.map((client) => client.send(bytes)))
    clients.push(...batch)
  }
  return clients
}

const attacks: [name: string, count: number, bytes: (token: string) => string][] = [
  ["connections that say nothing more", 10_000, () => rawRequest("GET /health/live")],
  ["headers that never end", 1_000, () => "GET /api/v1/todos HTTP/1.1\r\nHost: x\r\nX-Slow: "],
  [
    "bodies that never end",
    1_000,
    (token) =>
      rawRequest(
        "POST /api/v1/todos",
        {
          Authorization: `Bearer ${token}`,
          "Content-Type": "application/json",
          "Transfer-Encoding": "chunked",
        },
        "1\r\n{\r\n",
      ),
  ],
]
for (const [name, count, bytes] of attacks)
  test(`${count} ${name}: others are answered, and memory is bounded`, async () => {
    await using service = await start()
    await using control = await startProcess()
    const before = service.megabytes()
    const clients = await openMany(count, service.url, bytes(service.ada.token))
    while (readdirSync(`/proc/${service.pid}/fd`).length < count) await Bun.sleep(20)
    await service.expectNoWait(control)
    const grown = service.megabytes() - before
    console.log(`${count} ${name}: ${grown.toFixed(0)} MB`)
    expect(grown).toBeLessThan(200)
    for (const client of clients) client.destroy()
    await service.expectNoWait(control)
    await service.stop()
    expect(await service.log()).not.toContain('"level":"error"')
  })
