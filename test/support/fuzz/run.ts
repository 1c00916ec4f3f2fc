/**
 * Runs seeds against a Postgres of their own, at three levels in turn: the driver, the pool, the service.
 * By itself: bun test/support/fuzz/run.ts FIRST [COUNT]. A seed that fails is repeated by its number.
 */
import { startApp } from "../app.ts"
import { clusterDirectory, createCluster } from "../cluster.ts"
import { createRandom } from "../simulation/random.ts"
import { openSql } from "../sql.ts"
import { driver, pool, service, type World } from "./levels.ts"
import { startProxy } from "./proxy.ts"
import { SCHEMA } from "./work.ts"

/** `report` gets each problem of a seed. */
export const runSeeds = async (
  first: number,
  count: number,
  report: (seed: number, problem: string) => void,
) => {
  let current = first
  const unhandled = (error: unknown) => report(current, `nobody handles ${error}`)
  using directory = clusterDirectory()
  const cluster = createCluster(directory, "data")
  cluster.initialize()
  await cluster.start()
  await cluster.query("create role fuzzed superuser login")
  const worlds = await Promise.all(
    ["alone", "service"].map(async (name): Promise<World> => {
      const proxy = await startProxy({ port: cluster.port, host: "127.0.0.1" })
      const url = `postgres://fuzzed@127.0.0.1:${proxy.port}/postgres?application_name=${name}`
      return { admin: openSql(cluster.url, 2), proxy, url, name, restart: undefined }
    }),
  )
  const [alone, served] = worlds
  if (!alone || !served) throw new Error("there are two worlds")
  const app = await startApp({ DATABASE_URL: served.url, DATABASE_POOL_SIZE: "3" })
  const restart = async () => {
    await cluster.killMain()
    await cluster.start()
    for (const world of worlds) {
      await world.admin.end({ timeout: 0 })
      world.admin = openSql(cluster.url, 2)
    }
  }
  process.on("unhandledRejection", unhandled)
  process.on("uncaughtException", unhandled)
  try {
    await alone.admin.unsafe(SCHEMA)
    const users = await Promise.all([1, 2, 3].map(() => app.user()))
    const isReady = async () => (await app.call("GET", "/health/ready")).status === 200
    const levels = [
      [driver, alone],
      [pool, alone],
      [service(users, isReady), served],
    ] as const
    for (; current < first + count; current++) {
      const [level, world] = levels[current % levels.length] ?? levels[0]
      world.restart = Math.floor(current / levels.length) % 25 === 0 ? restart : undefined
      for (const problem of await level(world, current, createRandom(current)))
        report(current, problem)
    }
  } finally {
    for (const { proxy, admin } of worlds) {
      proxy.use([])
      await admin.end()
    }
    await app.stop()
    for (const { proxy } of worlds) await proxy[Symbol.asyncDispose]()
    await cluster.stop()
    process.off("unhandledRejection", unhandled)
    process.off("uncaughtException", unhandled)
  }
}

if (import.meta.main) {
  const [first = 1, count = 1] = process.argv.slice(2).map(Number)
  let problems = 0
  const start = performance.now()
  await runSeeds(first, count, (seed, problem) => {
    problems++
    console.log(`${seed}: ${problem}`)
  })
  const seconds = Math.round((performance.now() - start) / 1_000)
  console.log(`${count} seeds from ${first} in ${seconds} s: ${problems} problems`)
  process.exit(problems > 0 ? 1 : 0)
}
