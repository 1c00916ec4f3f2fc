/** `SEEDS=10000 SEED=1 bun test …`: so many worlds, from that one on. A failure names its seed. */
import { expect, test } from "bun:test"
import { runSimulation } from "../support/simulation/run.ts"

const seeds = Number(process.env["SEEDS"] ?? 1_000)
const from = Number(process.env["SEED"] ?? 1)

test(
  `in ${seeds} worlds with restarts, replicas end equal and every click is there once, or was told`,
  async () => {
    const { failures, clicks, told, stops } = await runSimulation({ from, seeds })
    console.log(`${clicks} clicks, ${told} of them told as refused or in conflict`)
    console.log(`${stops} times JavaScript stopped in a tab that led others`)
    expect(failures).toEqual([])
  },
  300_000 + seeds * 1_000,
)

test("a suspended tab hears late of what it has stored: the clicks of two tabs stay in order", async () => {
  for (const from of [832, 873]) {
    const { failures } = await runSimulation({ from, seeds: 1 })
    expect(failures).toEqual([])
  }
})
