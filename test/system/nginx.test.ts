/** Streams and waits through nginx, set up by the very block that the documentation gives. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type Deployment, startDeployment } from "../support/deployment.ts"
import { openEvents } from "../support/events.ts"
import { tenthsOf } from "../support/pace.ts"
import { createDatabase } from "../support/postgres.ts"
import { fetchedState, type Page } from "../support/replica.ts"

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
    await instance.withToken(ada.token).post("/todos", { title: "milk" })
    const [events, tenths] = await tenthsOf(stream.until(told + 2), () => fetchedState(ada))
    expect(tenths).toBeLessThan(20)
    expect(events.at(-1)?.data.state).toBe(await fetchedState(ada))
  }
})

test("a wait is answered by the change that it waits for", async () => {
  const [ada, bob] = [await deployment.user(), await deployment.user()]
  const answered: string[] = []
  const [adasState, bobsState] = [await fetchedState(ada), await fetchedState(bob)]
  const wait = async (name: string, user: typeof ada, state: string) => {
    const path = `/todos/changes?since=${state}`
    const answer = await user.get(path, { prefer: "wait=50" })
    answered.push(name)
    return answer
  }
  // Bob's began first: without a change it ends first.
  const bobs = wait("bob", bob, bobsState)
  const adas = wait("ada", ada, adasState)
  await Bun.sleep(1_500)
  expect(answered).toEqual([])
  await ada.post("/todos", { title: "milk" })
  const { body, headers } = await adas
  expect(answered).toEqual(["ada"])
  await bob.post("/todos", { title: "tea" })
  await bobs
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
