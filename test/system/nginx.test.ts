/** Streams and waits through nginx, set up by the very block that the documentation gives. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { type Deployment, startDeployment } from "../support/deployment.ts"
import { openEvents } from "../support/events.ts"
import { createDatabase } from "../support/postgres.ts"
import { fetchedState, type Page } from "../support/replica.ts"

setDefaultTimeout(120_000)

let database: Awaited<ReturnType<typeof createDatabase>>
let deployment: Deployment

beforeAll(async () => {
  database = await createDatabase()
  deployment = await startDeployment(database.url, 2)
})

afterAll(async () => {
  await deployment[Symbol.asyncDispose]()
  await database.drop()
})

test("events come one by one as they happen, and within two seconds, of every instance", async () => {
  const ada = await deployment.user()
  await using stream = await openEvents(deployment.url, ada.token)
  expect(stream.headers.get("content-type")).toBe("text/event-stream")
  const [first] = await stream.until(1)
  expect(first?.data.state).toBe(await fetchedState(ada))
  for (const [told, instance] of deployment.instances.entries()) {
    const committed = performance.now()
    await instance.withToken(ada.token).post("/todos", { title: "milk" })
    const events = await stream.until(told + 2)
    expect(performance.now() - committed).toBeLessThan(2_000)
    expect(events.at(-1)?.data.state).toBe(await fetchedState(ada))
  }
})

test("a wait is answered by the change that it waits for", async () => {
  const ada = await deployment.user()
  const state = await fetchedState(ada)
  let isAnswered = false
  const waiting = ada
    .get(`/todos/changes?since=${state}`, { prefer: "wait=50" })
    .finally(() => (isAnswered = true))
  await Bun.sleep(1_500)
  expect(isAnswered).toBe(false)
  const asked = performance.now()
  await ada.post("/todos", { title: "milk" })
  const { body, headers } = await waiting
  expect(performance.now() - asked).toBeLessThan(10_000)
  expect(headers.get("preference-applied")).toBe("wait=50")
  expect((body as Page).changes).toHaveLength(1)
})

test("a stream that its client closes makes room for another", async () => {
  const ada = await deployment.user()
  // More than both instances have room for at once.
  for (let round = 0; round < 3; round++) {
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => openEvents(deployment.url, ada.token)),
    )
    for (const stream of streams) stream.close()
    await Promise.all(streams.map(({ ended }) => ended))
  }
  let last = await openEvents(deployment.url, ada.token)
  while (last.status === 429) {
    await Bun.sleep(20)
    last = await openEvents(deployment.url, ada.token)
  }
  expect(last.status).toBe(200)
  last.close()
})

test("streams end, each with a time to come back, when their instance is stopped", async () => {
  const ada = await deployment.user()
  const streams = await Promise.all(
    Array.from({ length: 10 }, () => openEvents(deployment.url, ada.token)),
  )
  for (const stream of streams) await stream.until(1)
  const ended = new Set<(typeof streams)[number]>()
  for (const stream of streams) stream.ended.then(() => ended.add(stream))
  deployment.instances[0]?.kill("SIGTERM")
  await deployment.restart(0)
  await ada.post("/todos", { title: "milk" })
  const state = await fetchedState(ada)
  const isTold = ({ events }: (typeof streams)[number]) => events().at(-1)?.data.state === state
  while (!streams.every((stream) => ended.has(stream) || isTold(stream))) await Bun.sleep(10)
  // Those of the other instance go on.
  expect(ended.size).toBeGreaterThan(0)
  expect(ended.size).toBeLessThan(streams.length)
  for (const { text } of ended) expect(text()).toMatch(/^retry: \d+$/m)
  await using again = await openEvents(deployment.url, ada.token)
  const [first] = await again.until(1)
  expect(first?.data.state).toBe(state)
  for (const stream of streams) stream.close()
})
