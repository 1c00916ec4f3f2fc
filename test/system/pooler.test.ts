/** PgBouncer in transaction mode, as Debian has it, with the service's defaults: it knows no prepared statements. */
import { expect, test } from "bun:test"
import { patiently } from "../support/client.ts"
import { clusterDirectory, createCluster } from "../support/cluster.ts"
import { startCommand } from "../support/command.ts"
import { startPooler } from "../support/pooler.ts"

test("nothing is lost or changed behind a pooler without prepared statements, which is said once", async () => {
  using directory = clusterDirectory()
  const database = createCluster(directory, "data")
  database.initialize()
  await database.start()
  const pooler = startPooler(directory, database.port, "min_pool_size = 4")
  try {
    // They hold for sessions of the pooler, whose start-up parameters are not the service's.
    for (const setting of [
      "bytea_output = 'escape'",
      "default_transaction_isolation = 'repeatable read'",
      "standard_conforming_strings = off",
    ])
      await database.query(`alter role todo set ${setting}`)
    await Bun.sleep(300)
    await using service = await startCommand({ DATABASE_URL: pooler.url })
    // A transaction that comes upon an unknown statement is a 503, of it nothing is sent anew: they come again.
    const users = [await service.account(), await service.account(), await service.account()]
    const creates = users.flatMap((user) =>
      Array.from({ length: 30 }, async (_, n) => {
        const todo = { title: `${n}`, is_completed: true }
        const key = { "idempotency-key": `${n}` }
        const first = await patiently(() => user.post("/todos", todo, key))
        const again = await patiently(() => user.post("/todos", todo, key))
        return [first.status, again.status, again.headers.get("idempotent-replayed")]
      }),
    )
    for (const answer of await Promise.all(creates)) expect(answer).toEqual([201, 201, "true"])
    const stored = "select is_completed, count(*)::integer from todos group by 1"
    expect(await database.query<object>(stored)).toMatchObject([{ is_completed: true, count: 90 }])
    expect((await service.call("GET", "/health/ready")).status).toBe(200)
    service.kill("SIGTERM")
    await service.exited
    const lines = (await service.log()).split("\n")
    const warnings = lines.filter((line) => line.includes("no prepared statements"))
    expect(warnings.length).toBeLessThan(2)
    expect(lines.filter((line) => line.includes('"level":"error"'))).toEqual([])
    const isolation = lines.filter((line) => line.includes("default_transaction_isolation"))
    expect(isolation).toHaveLength(1)
  } finally {
    pooler.stop()
    await database.stop()
  }
}, 120_000)
