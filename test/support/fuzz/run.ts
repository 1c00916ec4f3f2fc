/**
 * Runs seeds against a Postgres of their own, at three levels in turn: the driver, the pool, the service.
 * By itself: bun test/support/fuzz/run.ts FIRST [COUNT [ATTEMPTS]]. A seed that fails is repeated by its number, and
 * more than once, until it fails: what happens at the same time is not the same each time.
 */
import { heapStats } from "bun:jsc"
import { join } from "node:path"
import { startApp } from "../app.ts"
import { clusterDirectory, createCluster } from "../cluster.ts"
import { createRandom } from "../simulation/random.ts"
import { openSql } from "../sql.ts"
import { driver, pool, service, type World } from "./levels.ts"
import { startProxy } from "./proxy.ts"
import { SCHEMA } from "./work.ts"

/** Where Postgres looks for a certificate. */
const certify = ({ path, account }: ReturnType<typeof clusterDirectory>) =>
  Bun.spawnSync(
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -subj /CN=fuzz".split(
      " ",
    ),
    { ...account, cwd: join(path, "data") },
  )

/** Seeds after which all code has run, and been compiled. */
const WARM = 60

/** The longest that a timer of a seed which has ended keeps a connection from being collected, in ms. */
const TIMERS_END = 30_000

/** How many there are of what statements, their errors and connections are made of. */
const countObjects = async () => {
  await Bun.sleep(500)
  Bun.gc(true)
  const { objectTypeCounts } = heapStats()
  return ["Array", "Error", "Function", "Promise"].map(
    (kind) => [kind, objectTypeCounts[kind] ?? 0] as const,
  )
}

/** `report` gets each problem of a seed. */
export const runSeeds = async (
  seeds: Iterable<number>,
  report: (seed: number, problem: string) => void,
) => {
  let current = 0
  let ran = 0
  const unhandled = (error: unknown) => report(current, `nobody handles ${error}`)
  using directory = clusterDirectory()
  const cluster = createCluster(directory, "data")
  cluster.initialize()
  certify(directory)
  cluster.set("ssl", "on")
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
    let before: Awaited<ReturnType<typeof countObjects>> = []
    for (current of seeds) {
      if (ran++ === WARM) before = await countObjects()
      const [level, world] = levels[current % levels.length] ?? levels[0]
      world.restart = Math.floor(current / levels.length) % 25 === 0 ? restart : undefined
      for (const problem of await level(world, current, createRandom(current)))
        report(current, problem)
    }
    // A few in a seed are no leak: it has dozens of statements, and a connection has dozens of functions.
    const most = 4 * (ran - WARM)
    const findGrown = async () => {
      const after = new Map(await countObjects())
      return before
        .map(([kind, number]) => [kind, (after.get(kind) ?? 0) - number] as const)
        .filter(([, grown]) => grown > most)
    }
    const deadline = performance.now() + TIMERS_END
    let grown = await findGrown()
    while (grown.length > 0 && performance.now() < deadline) grown = await findGrown()
    for (const [kind, number] of grown)
      report(current, `memory is left: ${number} objects of the kind ${kind}`)
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
  const [first = 1, count = 1, attempts = 1] = process.argv.slice(2).map(Number)
  let problems = 0
  const start = performance.now()
  const seeds = function* () {
    for (let seed = first; seed < first + count; seed++) {
      const before = problems
      for (let attempt = 0; attempt < attempts && problems === before; attempt++) yield seed
    }
  }
  await runSeeds(seeds(), (seed, problem) => {
    problems++
    console.log(`${seed}: ${problem}`)
  })
  const seconds = Math.round((performance.now() - start) / 1_000)
  console.log(`${count} seeds from ${first} in ${seconds} s: ${problems} problems`)
  process.exit(problems > 0 ? 1 : 0)
}
