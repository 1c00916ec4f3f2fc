/** Listeners that throw: an error of the page, which is no reason for the client to stop. */
import { expect, spyOn, test } from "bun:test"
import { eventually, startLiveApp } from "../support/live.ts"

/** What microtasks throw. Bun would fail the test for it, whoever else handles it. */
const uncaughtErrors = () => {
  const messages: string[] = []
  const queue = globalThis.queueMicrotask
  const queued = spyOn(globalThis, "queueMicrotask").mockImplementation((run) =>
    queue(() => {
      try {
        run()
      } catch (error) {
        messages.push(String(error))
      }
    }),
  )
  return { messages, [Symbol.dispose]: () => queued.mockRestore() }
}

const throwing = (message: string) => () => {
  throw new Error(message)
}

test("a listener that throws is reported, and stops neither the sync nor other listeners", async () => {
  await using app = await startLiveApp()
  using uncaught = uncaughtErrors()
  const client = app.open()
  let changes = 0
  client.onSessionChange(throwing("of the session"))
  client.onSessionChange(() => changes++)
  await client.logIn(await app.account())
  expect(changes).toBe(1)

  const live = await client.todos.live()
  let calls = 0
  live.subscribe(throwing("of the replica"))
  live.subscribe(() => calls++)
  await live.create({ title: "Buy milk" })
  await eventually(() => live.status().pending === 0)
  expect((await client.todos.list()).map(({ title }) => title)).toEqual(["Buy milk"])
  expect(calls).toBeGreaterThan(0)
  expect(new Set(uncaught.messages)).toEqual(
    new Set(["Error: of the session", "Error: of the replica"]),
  )
})
