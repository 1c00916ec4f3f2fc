/** A client that opens a stream of events and does not read it. */
import { expect, test } from "bun:test"
import { connect as openSocket } from "node:net"
import { connect } from "../../src/database/connect.ts"
import { createLog } from "../../src/log.ts"
import { eventStream } from "../../src/todos/changes/events.ts"
import { createWatchers } from "../../src/todos/changes/watchers.ts"
import { openEvents } from "../support/events.ts"
import { createDatabase } from "../support/postgres.ts"
import { rawRequest } from "../support/raw.ts"

/** With it a hundred events are more than the buffers of both ends hold, in place of many thousands. */
const LONG_TOKEN = "x".repeat(256 * 1024)

test("it is disconnected after half a minute, and one that reads is not", async () => {
  const database = await createDatabase()
  const sql = connect(database.url, 1)
  const watchers = createWatchers(sql)
  const stop = watchers.start(createLog("silent"))
  const syncTokens = { write: () => LONG_TOKEN, read: () => expect.unreachable() }
  const { promise: isGone, resolve: leave } = Promise.withResolvers<number>()
  const unwatch: typeof watchers.unwatch = (watcher) => {
    leave(watcher.caller.userId)
    watchers.unwatch(watcher)
  }
  const deps = { sql, syncTokens, watchers: { ...watchers, unwatch } }
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    fetch: (request, server) => {
      const userId = Number(request.headers.get("authorization")?.replace("Bearer ", ""))
      const caller = { userId, isStillValid: () => true }
      return eventStream(deps, caller, {
        closeAfter: (seconds) => server.timeout(request, seconds),
      })
    },
  })
  try {
    const deaf = openSocket(server.port ?? 0, "127.0.0.1")
    deaf.on("error", () => {})
    deaf.pause()
    deaf.write(rawRequest("GET /", { Authorization: "Bearer 1" }))
    await using reader = await openEvents(`http://127.0.0.1:${server.port}`, "2")
    await reader.until(1)
    const first = performance.now()
    const untilComment = async () => {
      while (!reader.text().includes(": still here")) await Bun.sleep(20)
      return performance.now() - first
    }
    const comment = untilComment()
    let isOver = false
    reader.ended.then(() => {
      isOver = true
    })
    for (let revision = 1; revision <= 100; revision++) {
      watchers.committed(1, revision)
      await Bun.sleep(2)
    }
    expect(await isGone).toBe(1)
    expect(isOver).toBe(false)
    // 15 s are promised.
    expect(Math.abs((await comment) - 15_000)).toBeLessThan(2_000)
    watchers.committed(2, 1)
    await reader.until(2)
    deaf.destroy()
  } finally {
    await stop()
    await server.stop(true)
    await sql.end()
    await database.drop()
  }
}, 120_000)
