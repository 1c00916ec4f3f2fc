/** The tests mostly wait for limits to be reached: they do it together. */
import { expect, test } from "bun:test"
import { createConnection, createServer } from "node:net"
import { connect } from "../../../src/database/connect.ts"
import { startEmbedded } from "../../../src/database/embedded/start.ts"
import { awaitDatabase } from "../../../src/database/schema.ts"
import { createLog } from "../../../src/log.ts"
import { type App, startApp } from "../../support/app.ts"
import type { Answer, User } from "../../support/client.ts"
import { postmasterOf, query, usedDataDir } from "../../support/embedded.ts"
import { tenthsOf } from "../../support/pace.ts"
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
    /** A statement on a connection of its own, as soon as there may be one. */
    ask: () => query(database.url, "select 1").catch(() => {}),
    stop: () => database.stop(),
    start: async () => {
      database = await startEmbedded(dataDir.path)
    },
    signal: (signal: NodeJS.Signals) => {
      for (const pid of processes())
        try {
          process.kill(pid, signal)
        } catch {
          // It has ended meanwhile.
        }
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

/** A control for what the database is not asked. */
const live = (app: App) => app.call("GET", "/health/live")

/** Many at once, half of them slow ones that wait for each other, each of them refused in time. */
const expectOutage = async (app: App, ada: User, requests: number, seconds: number) => {
  const read = (_: unknown, n: number) => ada.get(n % 2 === 0 ? "/todos?limit=20" : "/todos")
  const many = Promise.all(Array.from({ length: requests }, read))
  const [answers, tenths] = await tenthsOf(many, () => live(app))
  for (const answer of answers) expectUnavailable(answer)
  expect(tenths).toBeLessThan(seconds * 10)
  expect((await live(app)).status).toBe(200)
}

/** A second is promised; more is allowed. A driver that waits longer and longer takes ten. */
const RECOVERY_SECONDS = 3

/** Soon everything works. */
const expectRecovery = async (app: App, ada: User, ask: () => Promise<unknown>) => {
  const readMany = async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ada.get("/todos?limit=20")))
    return answers.every(({ status }) => status === 200)
  }
  // What was tried a moment too early may fail yet.
  const recover = async () => {
    while (!(await readMany()));
  }
  const [, tenths] = await tenthsOf(recover(), ask)
  expect(tenths).toBeLessThan(RECOVERY_SECONDS * 10)
  expect((await app.call("GET", "/health/ready")).status).toBe(200)
}

test.concurrent("a database that refuses connections is a 503 within two seconds, and all is well when it is back", async () => {
  await using service = await startBreakable()
  const { app, ask } = service
  const ada = await app.user()
  await service.stop()
  await expectOutage(app, ada, 200, 2)
  expect((await app.call("GET", "/health/ready")).status).toBe(503)
  await service.start()
  await expectRecovery(app, ada, ask)
})

test.concurrent("a database that hangs is a 503 within five seconds, and all is well when it goes on", async () => {
  await using service = await startBreakable()
  const { app, ask } = service
  const ada = await app.user()
  service.signal("SIGSTOP")
  await expectOutage(app, ada, 50, 5)
  service.signal("SIGCONT")
  await expectRecovery(app, ada, ask)
})

test.concurrent("a server that closes every connection at once fails a statement in time, too", async () => {
  let connections = 0
  const closing = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, "127.0.0.1")
  const { port } = closing.address() as { port: number }
  /** What has connected before it is counted, too, when it is closed. */
  const connectToo = () =>
    new Promise((resolve) =>
      createConnection(port, "127.0.0.1")
        .on("error", () => {})
        .once("close", resolve),
    )
  const sql = connect(`postgres://x@127.0.0.1:${port}/x`, 2)
  const [outcome, tenths] = await tenthsOf(
    Promise.resolve(sql`select 1`).catch((error) => error.code),
    () => Bun.sleep(0),
  )
  expect(outcome).toMatch(/CONNECT/)
  expect(tenths).toBeLessThan(50)
  await connectToo()
  const attempts = connections
  await Bun.sleep(200)
  await connectToo()
  expect(connections).toBe(attempts + 1)
  await sql.end()
  closing.close()
})

/** Whether somebody who asks the database directly meanwhile waits for half as long as a cancel may take. */
const isBusyDuring = async (work: Promise<unknown>, url: string) => {
  let isBusy = false
  await tenthsOf(work, async () => {
    const start = performance.now()
    await query(url, "select 1")
    if (performance.now() - start > 250) isBusy = true
  })
  return isBusy
}

test.concurrent("slow statements hold up nobody else's, and are cancelled on the server too", async () => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, 2)
  const slow = Promise.resolve(sql`select 'slow', pg_sleep(60)`).catch((error) => error.code)
  await Promise.all(Array.from({ length: 20 }, () => sql`select 1`))
  // They did not wait until it was cancelled, which is after less than three seconds.
  expect(sql.state()).toMatchObject({ cancelled: 0 })
  const isBusy = await isBusyDuring(slow, url)
  expect(await slow).toBe("57014")
  const running = () => sql`
    select
    from pg_stat_activity
    where query like ${"%pg_sleep(60)%"}
      and state = 'active'
      and pid <> pg_backend_pid()`
  // The server says so a moment after it has said that the statement failed.
  while ((await running()).length > 0) await Bun.sleep(20)
  // One cancelled statement is no reason to give up the connections.
  expect(sql.state()).toMatchObject({ busy: 0, cancelled: 1, ...(isBusy ? {} : { replaced: 0 }) })
  await sql.end()
  await drop()
})

test.concurrent("a statement that finds no free connection in time is given up, and never runs", async () => {
  const { url, drop } = await createDatabase()
  const sql = connect(url, 2)
  await sql`create table ran (name text)`
  const slow = [1, 2].map(() => sql`select pg_sleep(60)`)
  const outcomes = Promise.allSettled([...slow, sql`insert into ran (name) values ('late')`])
  const late = (await outcomes)[2]
  expect(late).toMatchObject({ status: "rejected", reason: { code: "POOL_EXHAUSTED" } })
  expect(await sql`select name from ran`).toHaveLength(0)
  await sql.end()
  await drop()
})

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
  const settled = Promise.allSettled([insert("quick", 0), insert("slow", 60)])
  const isBusy = await isBusyDuring(settled, url)
  const outcomes = await settled
  expect(outcomes).toMatchObject([
    { status: "fulfilled", value: "quick" },
    { status: "rejected", reason: { code: "57014" } },
  ])
  expect(await sql<{ name: string }[]>`select name from kept`).toMatchObject([{ name: "quick" }])
  expect(sql.state()).toMatchObject({ busy: 0, waiting: 0, ...(isBusy ? {} : { replaced: 0 }) })
  await sql.end()
  await drop()
})

test.concurrent("a start waits for its database, and gives up in time", async () => {
  const dataDir = await usedDataDir()
  const first = await startEmbedded(dataDir.path)
  await first.stop()
  const sql = connect(first.url, 1)
  const waiting = awaitDatabase(sql, 20, createLog("silent"))
  const second = await startEmbedded(dataDir.path)
  await waiting
  await second.stop()
  const [outcome, tenths] = await tenthsOf(
    awaitDatabase(sql, 1, createLog("silent")).catch((error) => error.code),
    () => Bun.sleep(0),
  )
  expect(outcome).toBe("ENOENT")
  expect(tenths).toBeLessThan(20)
  await sql.end()
  dataDir[Symbol.dispose]()
})
