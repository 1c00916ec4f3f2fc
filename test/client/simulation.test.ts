/** A few seeds of what the system tests do a thousand times. */
import { expect, test } from "bun:test"
import { runSimulation } from "../support/simulation/run.ts"

test("copies end equal, and no click is lost, whatever the network does", async () => {
  const { failures, clicks } = await runSimulation({ from: 1, seeds: 6 })
  expect(failures).toEqual([])
  expect(clicks).toBeGreaterThan(50)
}, 120_000)

test("one seed has one history", async () => {
  const [once, again] = [
    await runSimulation({ from: 1, seeds: 2 }),
    await runSimulation({ from: 1, seeds: 2 }),
  ]
  expect(again).toEqual(once)
  expect(once.traces.flat().length).toBeGreaterThan(100)
}, 120_000)
