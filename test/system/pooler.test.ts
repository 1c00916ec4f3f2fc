/** PgBouncer in transaction mode, as Debian has it, with the service's defaults: it knows no prepared statements. */
import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { clusterDirectory, createCluster } from "../support/cluster.ts"
import { startCommand } from "../support/command.ts"
import { freePort } from "../support/ports.ts"

const startPooler = (directory: ReturnType<typeof clusterDirectory>, port: number) => {
  const own = freePort()
  const file = join(directory.path, "pgbouncer.ini")
  const settings = [
    ...[
      "[databases]",
      `* = host=127.0.0.1 port=${port} user=todo`,
      "[pgbouncer]",
      "pool_mode = transaction",
    ],
    ...[`listen_port = ${own}`, "listen_addr = 127.0.0.1", "unix_socket_dir =", "auth_type = any"],
    ...["default_pool_size = 4", "min_pool_size = 4"],
  ]
  writeFileSync(file, settings.join("\n"))
  const pooler = Bun.spawn(["/usr/sbin/pgbouncer", file], {
    ...directory.account,
    stdio: ["ignore", "ignore", "ignore"],
  })
  return { port: own, stop: () => pooler.kill() }
}

test("nothing is lost or changed behind a pooler without prepared statements, which is said once", async () => {
  using directory = clusterDirectory()
  const database = createCluster(directory, "data")
  database.initialize()
  await database.start()
  const pooler = startPooler(directory, database.port)
  try {
    // They hold for sessions of the pooler, whose start-up parameters are not the service's.
    for (const setting of [
      "bytea_output = 'escape'",
      "default_transaction_isolation = 'repeatable read'",
      "standard_conforming_strings = off",
    ])
      await database.query(`alter role todo set ${setting}`)
    const url = `postgres://todo@127.0.0.1:${pooler.port}/postgres`
    await Bun.sleep(300)
    await using service = await startCommand({ DATABASE_URL: url })
    /** A transaction that comes upon an unknown statement is a 503: of it nothing is sent anew. */
    const account = (): ReturnType<typeof service.account> => service.account().catch(account)
    const users = [await account(), await account(), await account()]
    const creates = users.flatMap((user) =>
      Array.from({ length: 30 }, async (_, n) => {
        const todo = { title: `${n}`, is_completed: true }
        const key = { "idempotency-key": `${n}` }
        const first = await user.post("/todos", todo, key)
        const again = await user.post("/todos", todo, key)
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
