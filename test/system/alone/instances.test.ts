/** Three instances on one database behind nginx: what their clients see of a deploy. Kills: soak.test.ts. */
import { expect, test } from "bun:test"
import { startDeployment } from "../../support/deployment.ts"
import { createDatabase } from "../../support/postgres.ts"

const WRITERS = 20

const startCluster = async () => {
  const { url, drop } = await createDatabase()
  const deployment = await startDeployment(url)
  return {
    ...deployment,
    async [Symbol.asyncDispose]() {
      await deployment[Symbol.asyncDispose]()
      await drop()
    },
  }
}

type Cluster = Awaited<ReturnType<typeof startCluster>>

/** Every title once, or its loss or doubling is counted. */
const compare = async (ada: Awaited<ReturnType<Cluster["account"]>>, acknowledged: Set<string>) => {
  const { body } = await ada.get("/todos")
  const found = new Map<string, number>()
  for (const { title } of body as { title: string }[]) found.set(title, (found.get(title) ?? 0) + 1)
  return {
    lost: [...acknowledged].filter((title) => !found.has(title)).length,
    doubled: [...found.values()].filter((count) => count > 1).length,
  }
}

/** Runs writers, each with titles of its own, while something befalls the instances. */
const writeDuring = async (
  write: (title: string) => Promise<unknown>,
  ordeal: () => Promise<void>,
) => {
  let isOver = false
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    for (let count = 0; !isOver; count++) await write(`${writer}-${count}`)
  })
  await ordeal()
  await Bun.sleep(500)
  isOver = true
  await Promise.all(writers)
}

test("a rolling restart under load shows no client an error", async () => {
  await using cluster = await startCluster()
  const ada = await cluster.account()
  const acknowledged = new Set<string>()
  const failures: unknown[] = []
  let requests = 0
  const writeAndRead = async (title: string) => {
    const created = await ada.post("/todos", { title }, { "idempotency-key": title }).catch(String)
    if (typeof created !== "string" && created.status === 201) acknowledged.add(title)
    else failures.push(typeof created === "string" ? created : created.status)
    const read = await ada.get("/todos?limit=5").catch(String)
    if (typeof read === "string" || read.status !== 200) failures.push(read)
    requests += 2
  }
  await writeDuring(writeAndRead, async () => {
    for (const instance of [0, 1, 2]) {
      await Bun.sleep(500)
      cluster.instances[instance]?.kill("SIGTERM")
      await cluster.restart(instance)
    }
  })
  const outcome = await compare(ada, acknowledged)
  console.log("rolling restart:", { requests, failures: failures.length, ...outcome })
  expect(failures).toEqual([])
  expect(outcome).toEqual({ lost: 0, doubled: 0 })
})
