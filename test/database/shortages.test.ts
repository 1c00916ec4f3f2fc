/** A database that lacks what a statement needs. One whose disk is full: test/system/full-disk.test.ts. */
import { expect, test } from "bun:test"
import { withSql } from "../support/backups.ts"
import { startCommand } from "../support/command.ts"
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

/** Resources, disk, memory, connections, a configured limit; a file that cannot be written. */
const SHORTAGES = ["53000", "53100", "53200", "53300", "53400", "58030"]

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
  expect(log).toMatch(/"code":"53\d00".*"message":"no more of it"/)
  await drop()
})
