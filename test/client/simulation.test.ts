/** A few seeds of what the system tests do a thousand times. */
import { expect, test } from "bun:test"
import { runSimulation } from "../support/simulation/run.ts"

test("copies end equal, and no click is lost, whatever the network does", async () => {
  const from = Number(process.env["SEED"] ?? 1)
  const seeds = Array.from(
    { length: Number(process.env["SEEDS"] ?? 10) },
    (_, index) => from + index,
  )
  const { failures, clicks, told } = await runSimulation(
    seeds,
    Number(process.env["RESTART"] ?? 1000),
  )
  console.log({ clicks, told })
  expect(failures).toEqual([])
}, 600_000)
