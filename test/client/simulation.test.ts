/** A few seeds of what the system tests do a thousand times. */
import { expect, test } from "bun:test"
import { runSimulation } from "../support/simulation/run.ts"

test("copies end equal, and no click is lost, whatever the network does", async () => {
  const { failures, clicks } = await runSimulation({ from: 1, seeds: 20 })
  expect(failures).toEqual([])
  expect(clicks).toBeGreaterThan(100)
}, 120_000)

test("one seed has one history", async () => {
  const [once, again] = [
    await runSimulation({ from: 1, seeds: 3 }),
    await runSimulation({ from: 1, seeds: 3 }),
  ]
  expect(again).toEqual(once)
  expect(once.traces.flat().length).toBeGreaterThan(100)
}, 120_000)
