/** The tests mostly wait for limits to be reached: they do it together. */
import { expect, test } from "bun:test"
import { createServer } from "node:net"
import { connect } from "../../../src/database/connect.ts"
import { startEmbedded } from "../../../src/database/embedded/start.ts"
import { awaitDatabase } from "../../../src/database/schema.ts"
import { createLog } from "../../../src/log.ts"
import { type App, startApp } from "../../support/app.ts"
import type { Answer, User } from "../../support/client.ts"
import { postmasterOf, usedDataDir } from "../../support/embedded.ts"
import { createDatabase } from "../../support/postgres.ts"

/** A service on a Postgres of its own, which a test may break. */
const startBreakable = async () => {
  const dataDir = await usedDataDir()
  let database = await startEmbedded(dataDir.path)
  const app = await startApp({ DATABASE_URL: database.url })
  const processes = () => {
    const postmaster = postmasterOf(dataDir.path)
    const children = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(postmaster)])
    return [postmaster, ...children.stdout.toString().trim().split(/\s+/).map(Number)]
  }
  return {
    app,
    stop: () => database.stop(),
    start: async () => {
      database = await startEmbedded(dataDir.path)
    },
    signal: (signal: NodeJS.Signals) => {
      for (const pid of processes()) process.kill(pid, signal)
    },
    async [Symbol.asyncDispose]() {
      await app.stop()
      await database.stop()
      dataDir[Symbol.dispose]()
    },
  }
}

const expectUnavailable = ({ status, headers, body }: Answer) => {
  expect(status).toBe(503)
  expect(headers.get("retry-after")).toBe("1")
  expect(body).toMatchObject({ error_code: "SERVICE_UNAVAILABLE" })
}

const timed = async <T>(work: Promise<T>): Promise<[T, number]> => {
  const start = performance.now()
  return [await work, performance.now() - start]
}

/** Many at once, half of them slow ones that wait for each other, each of them refused in time. */
const expectOutage = async (app: App, ada: User, requests: number, limit: number) => {
  const read = (_: unknown, n: number) => ada.get(n % 2 === 0 ? "/todos?limit=20" : "/todos")
  const many = Promise.all(Array.from({ length: requests }, read))
  const [answers, milliseconds] = await timed(many)
  for (const answer of answers) expectUnavailable(answer)
  expect(milliseconds).toBeLessThan(limit)
  expect((await app.call("GET", "/health/live")).status).toBe(200)
}

/** A second is promised; a busy machine is allowed more. A driver that waits longer and longer takes ten. */
const RECOVERY_MS = 3_000

/** Soon everything works. */
const expectRecovery = async (app: App, ada: User) => {
  const deadline = performance.now() + RECOVERY_MS
  const readMany = async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ada.get("/todos?limit=20")))
    return answers.map(({ status }) => status)
  }
  const allWork = Array(40).fill(200)
  let statuses = await readMany()
  // What was tried a moment too early may fail yet.
  while (!Bun.deepEquals(statuses, allWork) && performance.now() < deadline)
    statuses = await readMany()
  expect(statuses).toEqual(allWork)
  expect(performance.now()).toBeLessThan(deadline)
  expect((await app.call("GET", "/health/ready")).status).toBe(200)
}

test.concurrent("a database that refuses connections is a 503 within two seconds, and all is well when it is back", async () => {
  await using service = await startBreakable()
  const { app } = service
  const ada = await app.user()
  await service.stop()
  await expectOutage(app, ada, 200, 2_000)
  expect((await app.call("GET", "/health/ready")).status).toBe(503)
  await service.start()
  await expectRecovery(app, ada)
}, 30_000)

test.concurrent("a database that hangs is a 503 within five seconds, and all is well when it goes on", async () => {
  await using service = await startBreakable()
  const { app } = service
  const ada = await app.user()
  service.signal("SIGSTOP")
  await expectOutage(app, ada, 50, 5_000)
  service.signal("SIGCONT")
  await expectRecovery(app, ada)
}, 30_000)

test.concurrent("a server that closes every connection at once fails a statement in time, too", async () => {
  let connections = 0
  const closing = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, "127.0.0.1")
  const { port } = closing.address() as { port: number }
  const sql = connect(`postgres://x@127.0.0.1:${port}/x`, 2)
  const [outcome, milliseconds] = await timed(
    Promise.resolve(sql`select 1`).catch((error) => error.code),
  )
  expect(outcome).toMatch(/CONNECT/)
  expect(milliseconds).toBeLessThan(5_000)
  await Bun.sleep(50)
  const attempts = connections
  await Bun.sleep(200)
  expect(connections).toBe(attempts)
  await sql.end()
  closing.close()
}, 10_000)

test.concurrent("slow statements hold up nobody else's, and are cancelled on the server too", async () => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, 2)
  const slow = Promise.resolve(sql`select 'slow', pg_sleep(60)`).catch((error) => error.code)
  await Bun.sleep(50)
  const [, milliseconds] = await timed(Promise.all(Array.from({ length: 20 }, () => sql`select 1`)))
  // It is cancelled after three.
  expect(milliseconds).toBeLessThan(2_500)
  expect(await slow).toBe("57014")
  expect(
    await sql`
      select
      from pg_stat_activity
      where query like ${"%pg_sleep(60)%"}
        and state = 'active'
        and pid <> pg_backend_pid()`,
  ).toHaveLength(0)
  // One cancelled statement is no reason to give up the connections.
  expect(sql.state()).toMatchObject({ busy: 0, cancelled: 1, replaced: 0 })
  await sql.end()
  await drop()
}, 10_000)

test.concurrent("a statement that finds no free connection in time is given up, and never runs", async () => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, 2)
  await sql`create table ran (name text)`
  const slow = [1, 2].map(() => sql`select pg_sleep(2)`)
  const outcomes = Promise.allSettled([...slow, sql`insert into ran (name) values ('late')`])
  const late = (await outcomes)[2]
  expect(late).toMatchObject({ status: "rejected", reason: { code: "POOL_EXHAUSTED" } })
  expect(await sql`select name from ran`).toHaveLength(0)
  await sql.end()
  await drop()
}, 10_000)

test.concurrent("a transaction is one unit, takes one connection, and has the limit of one statement", async () => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, 2)
  await sql`create table kept (name text)`
  const insert = (name: string, wait: number) =>
    sql.begin(async (transaction) => {
      await transaction`insert into kept (name) values (${name})`
      await transaction`select pg_sleep(${wait})`
      return name
    })
  const outcomes = await Promise.allSettled([insert("quick", 0), insert("slow", 60)])
  expect(outcomes).toMatchObject([
    { status: "fulfilled", value: "quick" },
    { status: "rejected", reason: { code: "57014" } },
  ])
  expect(await sql<{ name: string }[]>`select name from kept`).toMatchObject([{ name: "quick" }])
  expect(sql.state()).toMatchObject({ busy: 0, waiting: 0, replaced: 0 })
  await sql.end()
  await drop()
}, 10_000)

test.concurrent("a start waits for its database, and gives up in time", async () => {
  const dataDir = await usedDataDir()
  const first = await startEmbedded(dataDir.path)
  await first.stop()
  const sql = connect(first.url, 1)
  const waiting = awaitDatabase(sql, 20, createLog("silent"))
  const second = await startEmbedded(dataDir.path)
  await waiting
  await second.stop()
  const [outcome, milliseconds] = await timed(
    awaitDatabase(sql, 1, createLog("silent")).catch((error) => error.code),
  )
  expect(outcome).toBe("ENOENT")
  expect(milliseconds).toBeLessThan(2_000)
  await sql.end()
  dataDir[Symbol.dispose]()
}, 30_000)
