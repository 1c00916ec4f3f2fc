/** Clients of a stream of events: one that does not read it, and one for which there is nothing new. */
import { expect, test } from "bun:test"
import { connect as openSocket } from "node:net"
import { connect } from "../../src/database/connect.ts"
import { createLog } from "../../src/log.ts"
import { eventStream } from "../../src/todos/changes/events.ts"
import { createWatchers, type Watcher } from "../../src/todos/changes/watchers.ts"
import { openEvents } from "../support/events.ts"
import { createDatabase } from "../support/postgres.ts"
import { rawRequest } from "../support/raw.ts"

/** With it a hundred events are more than the buffers of both ends hold, in place of many thousands. */
const LONG_TOKEN = "x".repeat(256 * 1024)

/** Streams without accounts: the bearer token is the id of the user. */
const startStreams = async (token: string) => {
  const database = await createDatabase()
  const sql = connect(database.url, 1)
  const watchers = createWatchers(sql)
  const watching = new Map<number, Watcher>()
  const syncTokens = { write: () => token, read: () => expect.unreachable() }
  const deps = {
    sql,
    syncTokens,
    watchers: {
      ...watchers,
      watch: (watcher: Watcher) => {
        watching.set(watcher.caller.userId, watcher)
        watchers.watch(watcher)
      },
      unwatch: (watcher: Watcher) => {
        watching.delete(watcher.caller.userId)
        watchers.unwatch(watcher)
      },
    },
  }
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
  return {
    port: server.port ?? 0,
    url: `http://127.0.0.1:${server.port}`,
    watchers,
    /** Of those who watch now, by user. */
    watching,
    async [Symbol.asyncDispose]() {
      await server.stop(true)
      await sql.end()
      await database.drop()
    },
  }
}

const commentsIn = (text: string) => text.split(": still here\n\n").length - 1

test("it is disconnected after half a minute, and one that reads is not", async () => {
  await using streams = await startStreams(LONG_TOKEN)
  const { port, watchers, watching } = streams
  const stop = watchers.start(createLog("silent"))
  const deaf = openSocket(port, "127.0.0.1")
  deaf.on("error", () => {})
  deaf.pause()
  deaf.write(rawRequest("GET /", { Authorization: "Bearer 1" }))
  await using reader = await openEvents(streams.url, "2")
  await reader.until(1)
  while (!watching.has(1)) await Bun.sleep(20)
  let isOver = false
  reader.ended.then(() => {
    isOver = true
  })
  for (let revision = 1; watching.has(1); revision++) {
    watchers.committed(1, revision)
    await Bun.sleep(revision < 100 ? 2 : 100)
  }
  expect(isOver).toBe(false)
  expect(commentsIn(reader.text())).toBeGreaterThan(0)
  watchers.committed(2, 1)
  await reader.until(2)
  expect(isOver).toBe(false)
  deaf.destroy()
  await stop()
})

test("a comment is sent once nothing was for 14 seconds", async () => {
  await using streams = await startStreams("token")
  const before = performance.now()
  await using reader = await openEvents(streams.url, "1")
  await reader.until(1)
  const after = performance.now()
  const watcher = streams.watching.get(1)
  for (const second of [1, 2, 13, 14]) watcher?.tick(before + second * 1_000)
  watcher?.tick(after + 14_001)
  while (commentsIn(reader.text()) === 0) await Bun.sleep(2)
  streams.watchers.committed(1, 1)
  await reader.until(2)
  expect(commentsIn(reader.text())).toBe(1)
})
