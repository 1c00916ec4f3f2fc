/** What answers in place of the service, or of the network: a few of what the system tests try all of. */
import { test } from "bun:test"
import { answerCalls, answerEdits, editBySeed } from "../support/battery.ts"
import { shareLiveApp } from "../support/live.ts"

const app = await shareLiveApp()

test("an answer that is not the service's refuses no edit, and makes no loop", async () => {
  await answerEdits(app, [200, 204, 400, 401, 403, 413, 422, 503], ["html", "odd members", "empty"])
})

test("no call takes an answer that is not the service's for its own, and the session goes on", async () => {
  await answerCalls(app, [200, 401, 403, 409], ["html", "odd members", "a problem of others"])
  await answerCalls(app, [203], ["array"])
})

test("by seeds: whatever a bad network does, every edit is there once and in order", async () => {
  await Promise.all([1, 2, 3, 4, 5].map((seed) => editBySeed(app, seed)))
})
