/** `SEEDS=1000 SEED=1 bun test …`: every status with every body, and so many seeds of bad networks. */
import { test } from "bun:test"
import { answerCalls, answerEdits, editBySeed } from "../support/battery.ts"
import { startLiveApp } from "../support/live.ts"
import { statuses } from "../support/portal.ts"

const seeds = Number(process.env["SEEDS"] ?? 100)
const from = Number(process.env["SEED"] ?? 1)

test("no answer of others refuses an edit, or makes a loop", async () => {
  await using app = await startLiveApp()
  await answerEdits(app, [...statuses, 204])
}, 600_000)

test("no call takes an answer of others for its own", async () => {
  await using app = await startLiveApp()
  await answerCalls(app, statuses)
}, 600_000)

test(
  `in ${seeds} bad networks every edit is there once and in order`,
  async () => {
    await using app = await startLiveApp()
    let next = from
    const work = async () => {
      while (next < from + seeds) await editBySeed(app, next++)
    }
    await Promise.all(Array.from({ length: 8 }, work))
  },
  300_000 + seeds * 3_000,
)
