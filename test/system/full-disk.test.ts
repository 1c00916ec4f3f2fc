/** A database whose disk is full: it goes on with what it still can, and mends when there is space. */
import { expect, test } from "bun:test"
import { type Cluster, clusterDirectory, createCluster } from "../support/cluster.ts"
import { startCommand } from "../support/command.ts"
import { canMount } from "../support/mounts.ts"

const startOnSmallDisk = async () => {
  const directory = clusterDirectory()
  const database = createCluster(directory, "data", 100)
  database.initialize()
  await database.start()
  return {
    database,
    async [Symbol.asyncDispose]() {
      await database.stop()
      directory[Symbol.dispose]()
    },
  }
}

test.if(canMount)(
  "on a full disk reads go on, writes are a 503 with a reason, and all is well when there is space",
  async () => {
    await using small = await startOnSmallDisk()
    const { database } = small
    await using service = await startCommand({ DATABASE_URL: database.url, METRICS_PORT: "0" })
    const ada = await service.account("ada@example.org")
    const write = () => ada.post("/todos", { title: "milk", description: "x".repeat(900) })
    expect((await write()).status).toBe(201)
    database.fillDisk()
    let written = 1
    let answer = await write()
    for (; answer.status === 201; answer = await write()) written++
    expect(answer.status).toBe(503)
    expect(answer.headers.get("retry-after")).toBe("1")
    expect((await ada.get("/todos")).body).toHaveLength(written)
    await service.untilLogged("No space left on device")
    const metrics = await fetch(service.metricsUrl ?? "")
    expect(await metrics.text()).toMatch(/todo_api_database_errors_total{code="53100"} \d/)
    database.freeDisk()
    expect((await write()).status).toBe(201)
    expect((await ada.get("/todos")).body).toHaveLength(written + 1)
  },
)

/** Writes to its log alone until that needs a file for which there is no space: then it gives up. */
const fillLog = async (database: Cluster) => {
  for (;;)
    try {
      await database.query("select pg_logical_emit_message(false, '', repeat('x', 1000000))")
    } catch {
      return
    }
}

test.if(canMount)(
  "a database that ends because its log has no space is a 503, and no reason to restart the service",
  async () => {
    await using small = await startOnSmallDisk()
    const { database } = small
    await using service = await startCommand({ DATABASE_URL: database.url })
    const ada = await service.account("ada@example.org")
    database.fillDisk()
    await fillLog(database)
    const write = () => ada.post("/todos", { title: "tea" })
    // It recovers and fails again until not even that fits.
    while (database.isRunning()) await write()
    expect((await write()).status).toBe(503)
    expect((await service.call("GET", "/health/ready")).status).toBe(503)
    expect((await service.call("GET", "/health/live")).status).toBe(200)
  },
)
