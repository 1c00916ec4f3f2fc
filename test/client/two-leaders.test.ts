/** Two tabs that both lead, as on a page without locks. */
import { expect, test } from "bun:test"
import { openStore } from "../../src/client/live/store.ts"
import { createChannels, type Platform, platform } from "../../src/client/platform.ts"
import { memoryStorage } from "../../src/client/storage/memory.ts"

test("their statuses cross, and neither answers the other: each knows its own connection", async () => {
  const channels = createChannels()
  let posted = 0
  const on: Platform = {
    ...platform,
    channel: (name, onMessage) => {
      const { post, close } = channels(name, onMessage)
      // Without an end they would hold up the test itself.
      return { close, post: (message) => ++posted < 100 && post(message) }
    },
  }
  const { signal } = new AbortController()
  const given = { platform: on, storage: memoryStorage(), userId: 1, isLoggedIn: () => true }
  const [one, two] = [await openStore({ ...given, signal }), await openStore({ ...given, signal })]
  for (const store of [one, two]) store.leads(true)
  await Bun.sleep(0)
  one.connected({ is_online: false, is_logged_in: true })
  two.connected({ is_online: true, is_logged_in: false })
  await Bun.sleep(0)
  expect(posted).toBeLessThan(10)
  expect(one.connection()).toEqual({ is_online: false, is_logged_in: true })
  expect(two.connection()).toEqual({ is_online: true, is_logged_in: false })
})
