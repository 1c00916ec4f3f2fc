/** A few seeds of what the system tests do a thousand times. */
import { expect, test } from "bun:test"
import { runSimulation } from "../support/simulation/run.ts"

const simulated = runSimulation({ from: 1, seeds: 20 })

test("replicas end equal, and no click is lost, whatever the network does", async () => {
  const { failures, clicks } = await simulated
  expect(failures).toEqual([])
  expect(clicks).toBeGreaterThan(100)
}, 600_000)

test("one seed has one history", async () => {
  const [once, again] = [await simulated, await runSimulation({ from: 1, seeds: 3 })]
  expect(again.traces).toEqual(once.traces.slice(0, 3))
  expect(again.traces.flat().length).toBeGreaterThan(100)
}, 600_000)
