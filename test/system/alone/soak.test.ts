/** Three instances behind nginx, writers and replicas of several users, and everything dies in turn. */
import { expect, test } from "bun:test"
import { type Cluster, clusterDirectory, createCluster, createPair } from "../../support/cluster.ts"
import { type Deployment, startDeployment } from "../../support/deployment.ts"
import { pass } from "../../support/pace.ts"
import { soak } from "../../support/soak/run.ts"
import type { Tally } from "../../support/soak/tally.ts"

/** `SOAK_SECONDS=600 bun test …` for a long one. */
const SECONDS = Number(process.env["SOAK_SECONDS"] ?? 16)

/** Seconds after the database is back: five times of what is promised. */
const GRACE = 5

/** kill -9 of each in turn, each time once the one before is back, for so many seconds and once all. */
const killInstances = async (deployment: Deployment, seconds: number) => {
  const end = performance.now() + seconds * 1_000
  const { instances } = deployment
  for (let nth = 0; nth < instances.length || performance.now() < end; nth++) {
    await Bun.sleep(500)
    instances[nth % instances.length]?.kill("SIGKILL")
    await deployment.restart(nth % instances.length)
  }
}

const killEverything = async (
  deployment: Deployment,
  tally: Tally,
  databaseIsLost: () => Promise<void>,
  database: () => Cluster,
) => {
  await killInstances(deployment, SECONDS / 2)
  const endOutage = tally.outage()
  await databaseIsLost()
  const grace = pass(GRACE, () => database().query("select 1")).then(endOutage)
  await Promise.all([grace, killInstances(deployment, SECONDS / 2)])
}

const expectNothingLost = async (
  databaseUrl: string,
  databaseIsLost: () => Promise<void>,
  database: () => Cluster,
) => {
  await using deployment = await startDeployment(databaseUrl)
  const { figures, wrong } = await soak(
    deployment,
    (tally) => killEverything(deployment, tally, databaseIsLost, database),
    database,
  )
  console.log(figures)
  if (figures["without an outage"] > 0 || wrong.length > 0)
    console.log(deployment.warnings().join("\n"))
  expect(wrong).toEqual([])
}

const TIMEOUT = (SECONDS + 240) * 1_000

test(
  "nothing acknowledged is lost or doubled, and every replica ends equal, when all are killed in turn",
  async () => {
    using directory = clusterDirectory()
    const database = createCluster(directory, "data")
    database.initialize()
    await database.start()
    const restartIt = async () => {
      await database.kill()
      await Bun.sleep(1_000)
      await database.start()
    }
    try {
      await expectNothingLost(database.url, restartIt, () => database)
    } finally {
      await database.stop()
    }
  },
  TIMEOUT,
)

test(
  "nor when the primary is killed and its standby is promoted",
  async () => {
    using directory = clusterDirectory()
    const [primary, standby] = await createPair(directory)
    const bothHosts = `postgres://todo@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres`
    const failOver = async () => {
      await primary.kill()
      await Bun.sleep(500)
      standby.promote()
    }
    try {
      await expectNothingLost(bothHosts, failOver, () => standby)
    } finally {
      await Promise.all([primary.stop(), standby.stop()])
    }
  },
  TIMEOUT,
)
