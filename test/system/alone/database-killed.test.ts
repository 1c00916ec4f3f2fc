/** kill -9 of Postgres' main process, again and again, while many write. */
import { expect, test } from "bun:test"
import { clusterDirectory, createCluster } from "../../support/cluster.ts"
import { startCommand } from "../../support/command.ts"
import { pass } from "../../support/pace.ts"
import { startWriters } from "../../support/writers.ts"

const ROUNDS = Number(process.env["TEST_ROUNDS"] ?? 5)

test(`everything works a second after the database is back, in ${ROUNDS} rounds of kill -9`, async () => {
  using directory = clusterDirectory()
  const database = createCluster(directory, "data")
  database.initialize()
  await database.start()
  try {
    await using service = await startCommand({ DATABASE_URL: database.url })
    const ada = await service.account("ada@example.org")
    const { writes, stop } = startWriters(16, ada)
    const ask = () => database.query("select 1")
    const late: unknown[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      await Bun.sleep(300)
      await database.killMain()
      await Bun.sleep(Math.random() * 300)
      await database.start()
      await pass(1, ask)
      const after = writes.length
      await pass(1, ask)
      const since = writes.slice(after)
      expect(since.some(({ status }) => status === 201)).toBe(true)
      for (const { status, title } of since) if (status !== 201) late.push({ round, status, title })
    }
    await stop()
    expect(late).toEqual([])
    expect(writes.some(({ status }) => status === 503)).toBe(true)
    expect(await service.stop()).toBe(0)
  } finally {
    await database.stop()
  }
}, 600_000)
