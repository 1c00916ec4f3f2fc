/** A database that lacks what a statement needs. One whose disk is full: test/system/full-disk.test.ts. */
import { expect, test } from "bun:test"
import { withSql } from "../support/backups.ts"
import { runCommand, startCommand } from "../support/command.ts"
import { createDatabase } from "../support/postgres.ts"

/** Each write to todos fails with this SQLSTATE. */
const failWrites = (url: string, code: string) =>
  withSql(url, (sql) =>
    sql.unsafe(`
      create or replace function fail() returns trigger language plpgsql as $$
      begin
        raise exception 'no more of it' using errcode = '${code}';
      end
      $$;
      create or replace trigger failing
      before insert or update on todos
      for each statement execute function fail()`),
  )

/**
 * Resources, disk, memory, connections, a configured limit; a file that cannot be written; a role, a
 * password, a database or a grant that is refused.
 */
const SHORTAGES = [
  ...["53000", "53100", "53200", "53300", "53400", "58030"],
  ...["28000", "28P01", "3D000", "42501", "55000"],
]

/** A database, and the URL of another one of the same server, from which it can be changed as a whole. */
const createOwnDatabase = async () => {
  const { url, drop } = await createDatabase()
  const elsewhere = new URL(url)
  elsewhere.pathname = "/postgres"
  return { url, drop, elsewhere: elsewhere.href, name: new URL(url).pathname.slice(1) }
}

test("a shortage in the database is a 503 with the reason in the log and a metric, and passes", async () => {
  const { url, drop } = await createDatabase()
  await using service = await startCommand({ DATABASE_URL: url, METRICS_PORT: "0" })
  const ada = await service.account()
  expect((await ada.post("/todos", { title: "milk" })).status).toBe(201)
  const writes = () => [
    ada.post("/todos", { title: "tea" }),
    ada.post("/todos", { title: "tea" }, { "idempotency-key": "a" }),
    ada.patch("/todos/1", { title: "tea" }),
    ada.post("/todos/batch", { operations: [{ op: "create", todo: { title: "tea" } }] }),
  ]
  for (const code of SHORTAGES) {
    await failWrites(url, code)
    for (const { status, headers, body, text } of await Promise.all(writes())) {
      expect([code, status]).toEqual([code, 503])
      expect(headers.get("retry-after")).toBe("1")
      expect(body).toMatchObject({ error_code: "SERVICE_UNAVAILABLE" })
      expect(text).not.toContain("no more of it")
    }
    expect((await ada.get("/todos")).body).toMatchObject([{ title: "milk" }])
  }
  const metrics = await (await fetch(service.metricsUrl ?? "")).text()
  for (const code of SHORTAGES)
    expect(metrics).toContain(`todo_api_database_errors_total{code="${code}"} 4\n`)

  await withSql(url, (sql) => sql.unsafe("drop trigger failing on todos"))
  for (const { status } of await Promise.all(writes())) expect(status).toBeLessThan(300)
  service.kill("SIGTERM")
  await service.exited
  const log = await service.log()
  expect(log).toMatch(/"code":"53000".*"message":"no more of it".*"the database is away"/)
  expect(log).toMatch(/"code":"53100".*"the disk of the database is full"/)
  expect(log).toMatch(/"code":"28P01".*"the database refuses the service"/)
  await drop()
})

test("a database that was made anew is a 503 that is logged once, and is back when it is migrated", async () => {
  const { url, drop, elsewhere, name } = await createOwnDatabase()
  await using service = await startCommand({ DATABASE_URL: url, METRICS_PORT: "0" })
  const ada = await service.account()
  await withSql(elsewhere, async (sql) => {
    await sql.unsafe(`drop database ${name} with (force)`)
    await sql.unsafe(`create database ${name} template template1`)
  })
  const login = { email: "ada@example.org", password: "correct horse" }
  const calls = () => [
    ada.get("/todos?limit=1"),
    ada.post("/todos", { title: "milk" }),
    ada.get("/users/me"),
    service.call("POST", "/api/v1/auth/login", { body: login }),
  ]
  const until = performance.now() + 1_500
  while (performance.now() < until) {
    for (const { status, headers } of await Promise.all(calls()))
      expect([status, headers.get("retry-after")]).toEqual([503, "1"])
    // It is answered: that alone does not make another outage of it.
    expect((await service.call("GET", "/health/ready")).status).toBe(503)
    await Bun.sleep(200)
  }
  expect(await runCommand(["migrate"], { DATABASE_URL: url })).toMatchObject({ code: 0 })
  expect((await service.call("GET", "/health/ready")).status).toBe(200)
  expect((await (await service.account()).post("/todos", { title: "tea" })).status).toBe(201)

  const metrics = await (await fetch(service.metricsUrl ?? "")).text()
  expect(metrics).toMatch(/todo_api_database_errors_total{code="42P01"} \d+\n/)
  service.kill("SIGTERM")
  await service.exited
  const lines = (await service.log()).split("\n")
  const including = (text: string) => lines.filter((line) => line.includes(text)).length
  expect(including("lacks a table or column")).toBe(1)
  expect(including('"not ready"')).toBe(1)
  expect(including('"level":"error"')).toBe(1)
  await drop()
})

test("a database that takes no connections, or is not there, is a 503 that is logged once, and is back by itself", async () => {
  const { url, drop, elsewhere, name } = await createOwnDatabase()
  await using service = await startCommand({ DATABASE_URL: url, METRICS_PORT: "0" })
  const ada = await service.account()
  const outages = [
    [
      "55000",
      `alter database ${name} allow_connections false`,
      `alter database ${name} allow_connections true`,
    ],
    [
      "3D000",
      `alter database ${name} rename to ${name}_x`,
      `alter database ${name}_x rename to ${name}`,
    ],
  ] as const
  for (const [code, begin, end] of outages) {
    await withSql(elsewhere, async (sql) => {
      const terminate = () => sql`
        select pg_terminate_backend(pid)
        from pg_stat_activity
        where datname = ${name}`
      if (code === "55000") await sql.unsafe(begin)
      await terminate()
      while (code === "3D000") {
        await terminate()
        const isRenamed = await sql.unsafe(begin).then(
          () => true,
          () => false,
        )
        if (isRenamed) break
      }
      for (let n = 0; n < 20; n++) {
        const { status, headers } = await ada.get("/todos?limit=1")
        expect([code, status, headers.get("retry-after")]).toEqual([code, 503, "1"])
      }
      expect((await service.call("GET", "/health/ready")).status).toBe(503)
      await sql.unsafe(end)
    })
    // Within a second, by pauses: a busy machine makes both sides slower.
    for (let pauses = 0; (await ada.get("/todos?limit=1")).status !== 200; pauses++) {
      expect(pauses).toBeLessThan(20)
      await Bun.sleep(50)
    }
  }
  const metrics = await (await fetch(service.metricsUrl ?? "")).text()
  service.kill("SIGTERM")
  await service.exited
  const log = await service.log()
  for (const [code] of outages) {
    expect(metrics).toMatch(new RegExp(`todo_api_database_errors_total{code="${code}"} 1?\\d+\n`))
    const said = (line: string) => line.includes(`"code":"${code}"`) && line.includes("refuses")
    expect([code, log.split("\n").filter(said).length]).toEqual([code, 1])
  }
  await drop()
})
