/** A primary, its synchronous standby, and a service that is told of both: the failover, in each order. */

import { expect, test } from "bun:test"
import type { User } from "../support/client.ts"
import { type Cluster, clusterDirectory, createPair } from "../support/cluster.ts"
import { startCommand } from "../support/command.ts"
import { openEvents } from "../support/events.ts"
import { tenthsOf } from "../support/pace.ts"
import { listById, Replica } from "../support/replica.ts"
import { openSql, type TestSql } from "../support/sql.ts"
import { startWriters, type Write } from "../support/writers.ts"

const ROUNDS = Number(process.env["TEST_ROUNDS"] ?? 2)

const bothHosts = (one: Cluster, other: Cluster) =>
  `postgres://todo@127.0.0.1:${one.port},127.0.0.1:${other.port}/postgres`

const withPair = async (work: (primary: Cluster, standby: Cluster) => Promise<void>) => {
  using directory = clusterDirectory()
  const [primary, standby] = await createPair(directory)
  try {
    await work(primary, standby)
  } finally {
    await Promise.all([primary.stop(), standby.stop()])
  }
}

const isStandby = async (cluster: Cluster) => {
  const [row] = await cluster.query<{ is: boolean }>("select pg_is_in_recovery() as is")
  return row?.is
}

/** Resolves when it takes writes. */
const promoted = async (standby: Cluster) => {
  standby.promote()
  while (await isStandby(standby)) await Bun.sleep(10)
}

const titlesOf = async (cluster: Cluster) => {
  const rows = await cluster.query<{ title: string }>("select title from todos")
  return new Set(rows.map(({ title }) => title))
}

const untilThere = async (cluster: Cluster, title: string) => {
  while (!(await titlesOf(cluster)).has(title)) await Bun.sleep(20)
}

/** The standby stores each commit before it is acknowledged, and shows it later. */
const untilShown = async (primary: Cluster, standby: Cluster) => {
  const [written] = await primary.query<{ at: string }>("select pg_current_wal_lsn()::text as at")
  const shown = `select where pg_last_wal_replay_lsn() >= '${written?.at}'`
  while ((await standby.query(shown)).length === 0) await Bun.sleep(20)
}

const acknowledged = (writes: Write[]) =>
  writes.filter(({ status }) => status === 201).map(({ title }) => title)

/** Two seconds are promised; more is allowed. */
const LIMIT_SECONDS = 4

/** Until it is not refused any more, which is in time: beside it somebody asks the host directly. */
const writeAgain = async (ada: Pick<User, "post">, title: string, host: Cluster) => {
  const write = async () => {
    let answer = await ada.post("/todos", { title })
    while (answer.status === 503) {
      await Bun.sleep(20)
      answer = await ada.post("/todos", { title })
    }
    return answer
  }
  const [answer, tenths] = await tenthsOf(write(), () => host.query("select 1"))
  expect(answer.status).toBe(201)
  expect(tenths).toBeLessThan(LIMIT_SECONDS * 10)
}

/** A write that cannot be done, which is said in time. */
const expectUnwritable = async (
  ada: Pick<User, "post">,
  title: string,
  service: { url: string },
) => {
  const live = () => fetch(`${service.url}/health/live`)
  const [answer, tenths] = await tenthsOf(ada.post("/todos", { title }), live)
  expect(answer.status).toBe(503)
  expect(tenths).toBeLessThan(50)
}

const readiness = async (service: { url: string }) =>
  (await fetch(`${service.url}/health/ready`)).status

test(`after a failover writes go on within two seconds, and none is lost, in ${ROUNDS} rounds`, () =>
  withPair(async (first, second) => {
    let [primary, standby] = [first, second]
    // The standby comes first: which one is written to is asked, not assumed.
    const DATABASE_URL = bothHosts(standby, primary)
    await using service = await startCommand({ DATABASE_URL })
    const ada = await service.account("ada@example.org")
    for (let round = 1; round <= ROUNDS; round++) {
      const { writes, stop } = startWriters(16, ada, `round ${round}`)
      await Bun.sleep(500)
      await primary.kill()
      await Bun.sleep(200)
      await promoted(standby)
      const before = writes.length
      await writeAgain(ada, `after ${round}`, standby)
      while (acknowledged(writes.slice(before)).length <= 16) await Bun.sleep(20)
      await stop()
      const kept = await titlesOf(standby)
      const lost = acknowledged(writes).filter((title) => !kept.has(title))
      expect(lost).toEqual([])
      expect(await readiness(service)).toBe(200)
      primary.copy(standby)
      await primary.start()
      await standby.replicateSynchronously()
      ;[primary, standby] = [standby, primary]
    }
    expect(await service.stop()).toBe(0)
    expect(await service.log()).toContain(`"host":"127.0.0.1:${first.port}"`)
  }))

test("a frozen primary is left for the promoted one, and not returned to when it goes on", () =>
  withPair(async (primary, standby) => {
    const hosts = `host=127.0.0.1,127.0.0.1&port=${primary.port},${standby.port}`
    await using service = await startCommand({
      DATABASE_URL: `postgres://todo@/postgres?${hosts}&target_session_attrs=primary`,
    })
    const ada = await service.account("ada@example.org")
    expect((await ada.post("/todos", { title: "before" })).status).toBe(201)
    primary.freeze()
    await expectUnwritable(ada, "frozen", service)
    await promoted(standby)
    await writeAgain(ada, "after", standby)
    primary.resume()
    await Bun.sleep(3_000)
    expect((await ada.post("/todos", { title: "later" })).status).toBe(201)
    expect(await titlesOf(standby)).toEqual(new Set(["before", "after", "later"]))
    expect(await titlesOf(primary)).not.toContain("later")
  }))

test("a primary that comes back beside the promoted one is never written to again", () =>
  withPair(async (primary, standby) => {
    await using service = await startCommand({ DATABASE_URL: bothHosts(primary, standby) })
    const ada = await service.account("ada@example.org")
    await primary.kill()
    await promoted(standby)
    await writeAgain(ada, "after", standby)
    primary.set("synchronous_standby_names", "")
    await primary.start()
    await Bun.sleep(1_500)
    expect((await ada.post("/todos", { title: "with both" })).status).toBe(201)
    // The only one that is left is not the one to write to.
    await standby.kill()
    const alone = performance.now()
    while (performance.now() - alone < 4_000) {
      expect((await ada.post("/todos", { title: "alone" })).status).toBe(503)
      await Bun.sleep(50)
    }
    expect(await readiness(service)).toBe(503)
    await standby.start()
    await writeAgain(ada, "again", standby)
    expect(await titlesOf(primary)).toEqual(new Set())
    // A service that starts while both are there finds the one that was promoted, also if it is slow.
    standby.freeze()
    const starting = startCommand({ DATABASE_URL: bothHosts(primary, standby) })
    const written = starting.then(async ({ account }) => {
      const eve = await account("eve@example.org")
      return eve.post("/todos", { title: "by another" })
    })
    await Bun.sleep(1_200)
    standby.resume()
    await using _ = await starting
    expect((await written).status).toBe(201)
    expect(await titlesOf(standby)).toContain("by another")
  }))

test("a commit that did not reach the standby is not acknowledged", () =>
  withPair(async (primary, standby) => {
    await using service = await startCommand({ DATABASE_URL: bothHosts(primary, standby) })
    const ada = await service.account("ada@example.org")
    standby.freeze()
    await expectUnwritable(ada, "here alone", service)
    // It is cancelled, which is said before it is shown.
    await untilThere(primary, "here alone")
    standby.resume()
    await writeAgain(ada, "everywhere", primary)
  }))

test("a service whose only host may not be written to serves reads, and is not ready", () =>
  withPair(async (primary, standby) => {
    await using writer = await startCommand({ DATABASE_URL: primary.url })
    const ada = await writer.account("ada@example.org")
    expect((await ada.post("/todos", { title: "milk" })).status).toBe(201)
    await untilShown(primary, standby)
    await using reader = await startCommand({ DATABASE_URL: standby.url })
    const reading = reader.withToken(ada.token)
    expect((await reading.get("/todos")).body).toMatchObject([{ title: "milk" }])
    expect((await reading.post("/todos", { title: "bread" })).status).toBe(503)
    expect(await readiness(reader)).toBe(503)
    expect(await readiness(writer)).toBe(200)
    await primary.kill()
    await promoted(standby)
    await writeAgain(reading, "bread", standby)
    expect(await readiness(reader)).toBe(200)
  }))

test("any host that answers will do where target_session_attrs says so", () =>
  withPair(async (primary, standby) => {
    await using writer = await startCommand({ DATABASE_URL: primary.url })
    const ada = await writer.account("ada@example.org")
    const DATABASE_URL = `${bothHosts(standby, primary)}?target_session_attrs=any`
    await untilShown(primary, standby)
    // Whichever answered sooner would be the chosen one.
    primary.freeze()
    await using reader = await startCommand({ DATABASE_URL })
    primary.resume()
    const reading = reader.withToken(ada.token)
    expect((await reading.get("/todos")).status).toBe(200)
    expect((await reading.post("/todos", { title: "milk" })).status).toBe(503)
    primary.set("synchronous_standby_names", "")
    await standby.kill()
    await writeAgain(reading, "milk", primary)
  }))

test("a connection that may only read is given up", () =>
  withPair(async (primary) => {
    await using service = await startCommand({
      DATABASE_URL: primary.url,
      DATABASE_POOL_SIZE: "1",
    })
    const ada = await service.account("ada@example.org")
    const sql = openSql(primary.url)
    // Of all connections that are made meanwhile, and not of those that are there.
    await sql`alter database postgres set default_transaction_read_only = on`
    await sql`
      select pg_terminate_backend(pid)
      from pg_stat_activity
      where application_name = 'todo-api'
        and pid <> pg_backend_pid()`
    await ada.get("/todos")
    expect((await ada.post("/todos", { title: "refused" })).status).toBe(503)
    expect((await ada.get("/todos")).status).toBe(200)
    await sql`begin read write`
    await sql`alter database postgres reset default_transaction_read_only`
    await sql`commit`
    await sql.end()
    await writeAgain(ada, "written", primary)
  }))

test("replicas go on from their states after a failover that lost nothing", () =>
  withPair(async (primary, standby) => {
    await using service = await startCommand({ DATABASE_URL: bothHosts(primary, standby) })
    const ada = await service.account("ada@example.org")
    await ada.post("/todos", { title: "before" })
    const replica = new Replica(ada)
    await replica.fetch()
    await using stream = await openEvents(service.url, ada.token)
    await stream.until(1)
    await primary.kill()
    await promoted(standby)
    await writeAgain(ada, "after", standby)
    const [, event] = await stream.until(2)
    await replica.fetch()
    expect(replica.next).toBe(event?.data.state ?? "")
    expect(replica.todos()).toEqual(await listById(ada))
  }))

/** A commit that waits for its standby: it does so for less than three seconds. */
const waitingBackend = async (sql: TestSql): Promise<number> => {
  const [found] = await sql<{ pid: number }[]>`
    select pid
    from pg_stat_activity
    where wait_event = 'SyncRep'`
  return found?.pid ?? (await Bun.sleep(5).then(() => waitingBackend(sql)))
}

test.each(["with a warning", "with a warning that comes too late"])(
  "a replica that has seen what a failover lost, %s, begins anew",
  (how) =>
    withPair(async (primary, standby) => {
      await using service = await startCommand({ DATABASE_URL: bothHosts(primary, standby) })
      await using other = await startCommand({ DATABASE_URL: bothHosts(primary, standby) })
      const ada = await service.account("ada@example.org")
      await ada.post("/todos", { title: "before" })
      standby.set("primary_conninfo", "host=127.0.0.1 port=1")
      while ((await primary.query("select from pg_stat_replication")).length > 0)
        await Bun.sleep(20)
      await using sql = openSql(primary.url)
      await sql`select 1`
      const lost = ada.post("/todos", { title: "lost" })
      if (how.endsWith("late")) {
        const pid = await waitingBackend(sql)
        process.kill(pid, "SIGSTOP")
        await lost
        process.kill(pid, "SIGCONT")
      }
      expect((await lost).status).toBe(503)
      await untilThere(primary, "lost")
      const replica = new Replica(ada)
      await replica.fetch()
      expect(replica.todos()).toHaveLength(2)
      const list = await ada.get("/todos")
      await using stream = await openEvents(other.url, ada.token)
      await stream.until(1)
      await primary.kill()
      await promoted(standby)
      await writeAgain(ada, "instead", standby)
      // Of the same revision as what was lost.
      await stream.ended
      await expect(replica.fetch()).rejects.toThrow("CHANGES_EXPIRED")
      const etag = { "if-none-match": list.headers.get("etag") ?? "" }
      expect((await ada.get("/todos", etag)).status).toBe(200)
      replica.beginAnew()
      await replica.fetch()
      expect(replica.todos().map(({ title }) => title)).toEqual(["before", "instead"])
      // Once, however many instances there are.
      await Bun.sleep(2_000)
      await replica.fetch()
    }),
)
