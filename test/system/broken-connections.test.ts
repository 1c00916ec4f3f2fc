/** How a connection to the database ends, and that the next one is as good as new. */
import { expect, test } from "bun:test"
import type { Socket } from "node:net"
import { connect } from "../../src/database/connect.ts"
import { isAway } from "../../src/database/errors.ts"
import { setClock } from "../support/clock.ts"
import { tenthsOf } from "../support/pace.ts"
import { answers, startPostgresServer } from "../support/postgres-server.ts"

const outcomeOf = (work: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(work).then(
    () => "answered",
    (error) => error.code,
  )

/** Of the next connection: one that has failed takes statements until it is closed, a moment later. */
const nextOutcomeOf = async (ask: () => PromiseLike<unknown>): Promise<unknown> => {
  const outcome = await outcomeOf(ask())
  return outcome === "CONNECTION_CLOSED" ? nextOutcomeOf(ask) : outcome
}

test("connections that are reset while writes are pending take no later ones along", async () => {
  using _ = setClock()
  let statements = 0
  await using server = await startPostgresServer((socket, said) => {
    if (said === "start") socket.write(answers.start)
    else if (++statements % 7 === 0) socket.resetAndDestroy()
    else socket.write(answers.statement)
  })
  const sql = connect(server.url, 4)
  let asked = 0
  const ask = async () => {
    while (++asked < 2_000) {
      await outcomeOf(sql.pipelined`select 1`)
      // So that it is not always the answer of a connection that leads to its next statement.
      await new Promise(setImmediate)
    }
  }
  await Promise.all(Array.from({ length: 16 }, ask))
  expect(sql.state()).toMatchObject({ busy: 0, waiting: 0, cancelled: 0, replaced: 0 })
  await sql.end()
})

test("what a statement was answered when its connection broke off is no answer to the next one", async () => {
  using _ = setClock()
  let statements = 0
  await using server = await startPostgresServer((socket, said, connection) => {
    if (connection === 2) socket.end(answers.starting)
    else if (said === "start") socket.write(answers.start)
    else if (++statements === 2) socket.resetAndDestroy()
    else socket.write(answers.statement)
  })
  const sql = connect(server.url, 1)
  expect(await outcomeOf(sql`select 1`)).toBe("answered")
  const lost = await Promise.all([1, 2, 3].map(() => outcomeOf(sql.pipelined`select 1`)))
  expect(lost).not.toContain("answered")
  expect(await nextOutcomeOf(() => sql`select 1`)).toBe("57P03")
  expect(await outcomeOf(sql`select 1`)).toBe("answered")
  await sql.end()
})

test("what a transaction still asks when its connection is gone reaches no other connection", async () => {
  using _ = setClock()
  const later: string[] = []
  await using server = await startPostgresServer((socket, said, connection) => {
    if (said === "start") socket.write(answers.start)
    else if (connection === 2) {
      later.push(said)
      socket.write(answers.statement)
    } else if (said === "query") socket.write(answers.begin)
    else socket.destroy()
  })
  const sql = connect(server.url, 1)
  const { promise: resumed, resolve: resume } = Promise.withResolvers<void>()
  const { promise: over, resolve: end } = Promise.withResolvers<unknown>()
  const transaction = sql.begin(async (tag) => {
    await outcomeOf(tag`select 1`)
    await resumed
    end(await outcomeOf(tag`select 2`))
    throw new Error("as it was lost")
  })
  expect(await outcomeOf(transaction)).toBe("CONNECTION_CLOSED")
  expect(await outcomeOf(sql`select 3`)).toBe("answered")
  resume()
  expect(await over).toBe("CONNECTION_CLOSED")
  // Nothing was sent before it.
  expect(await outcomeOf(sql`select 4`)).toBe("answered")
  expect(later).toEqual(["statement", "statement"])
  await sql.end()
})

test("a connection that is closed before it is ready fails its statement at once", async () => {
  using _ = setClock()
  await using server = await startPostgresServer((socket) => socket.end())
  const sql = connect(server.url, 1)
  // Once its time is over it would be another error.
  expect(await outcomeOf(sql`select 1`)).toBe("CONNECTION_CLOSED")
  expect(server.connections()).toBe(1)
  await sql.end()
})

/** In less than five seconds, as one whose database is away. */
const failsInTime = async (statement: Promise<unknown>) => {
  await using server = await startPostgresServer((socket, said) =>
    socket.write(said === "start" ? answers.start : answers.statement),
  )
  const sql = connect(server.url, 1)
  const failure = statement.catch((error: unknown) => error)
  const [error, tenths] = await tenthsOf(failure, () => outcomeOf(sql`select 1`))
  await sql.end()
  expect(isAway(error) || error).toBe(true)
  expect(tenths).toBeLessThan(50)
}

/** What a server does that a client has asked for TLS. */
const tlsEndings: [name: string, serve: (socket: Socket) => void][] = [
  ["closes", (socket) => socket.end()],
  ["resets", (socket) => socket.resetAndDestroy()],
  ["agrees and closes", (socket) => socket.end("S")],
  ["agrees and resets", (socket) => socket.write("S", () => socket.resetAndDestroy())],
  ["agrees and talks nonsense", (socket) => socket.write("S".repeat(100))],
  ["is silent", () => {}],
  ["agrees and is silent", (socket) => socket.write("S")],
]
for (const [name, serve] of tlsEndings)
  test.concurrent(`a server that is asked for TLS and ${name} fails the statement in time`, async () => {
    let asked = 0
    await using server = await startPostgresServer((socket) => {
      asked++
      serve(socket)
    })
    const sql = connect(`${server.url}?sslmode=require`, 1)
    await failsInTime(sql`select 1`)
    expect(asked).toBeLessThan(5)
    await sql.end()
  })

test.concurrent("a server that is gone without a word fails the statement in time, and the next one works", async () => {
  await using server = await startPostgresServer((socket, said, connection) => {
    if (said === "start") socket.write(answers.start)
    else if (connection > 1) socket.write(answers.statement)
  })
  const sql = connect(server.url, 1)
  await failsInTime(sql`select 1`)
  expect(await outcomeOf(sql`select 1`)).toBe("answered")
  await sql.end()
})
