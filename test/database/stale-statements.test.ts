/** Prepared statements that the server does not know any more, or whose plan it cannot use any more. */
import { expect, test } from "bun:test"
import { connect } from "../../src/database/connect.ts"
import { PREPARED, type Sql } from "../../src/database/sql.ts"
import { createLog } from "../../src/log.ts"
import { createDatabase } from "../support/postgres.ts"
import { openSql } from "../support/sql.ts"

const withTable = async (work: (sql: Sql, url: string, warnings: string[]) => Promise<void>) => {
  const { url, drop } = await createDatabase()
  const warnings: string[] = []
  const log = createLog("silent")
  log.warn = (...[, message]: [unknown, string?]) => void warnings.push(message ?? "")
  const sql = connect(url, 2, { log })
  await sql`create table stored (id bigint primary key, done boolean, title text, n integer)`
  await sql`
    insert into stored
    select n, n % 2 = 0, 'title of ' || n, 0
    from generate_series(1, 100) as n`
  await work(sql, url, warnings)
  await sql.end()
  await drop()
}

const USERS = 24

/**
 * Statements of all kinds, until `work` is over. Returns what was wrong with their answers. `allAnswered`
 * resolves when nothing is under way any more that had begun before: on a busy machine that takes long, and
 * a statement that two changes of the same kind meet is sent anew for the first one only.
 */
const underLoad = async (sql: Sql, work: (allAnswered: () => Promise<void>) => Promise<void>) => {
  const wrong: unknown[] = []
  let isOver = false
  const counts = Array.from({ length: USERS }, () => 0)
  const allAnswered = async () => {
    const before = [...counts]
    while (counts.some((count, user) => count === before[user])) await Bun.sleep(5)
  }
  const user = async (_: unknown, index: number) => {
    for (let n = index * 7; !isOver; n++) {
      const id = 1 + (n % 100)
      const rows = [
        () => sql.pipelined`select id, done, title, n from stored where id = ${id}`,
        () =>
          sql.unsafe(
            "update stored set done = $2 where id = $1 returning *",
            [id, id % 2 === 0],
            PREPARED,
          ),
        () =>
          sql.pipelined.unsafe(
            "select * from stored where id = $1 and done = $2",
            [id, id % 2 === 0],
            PREPARED,
          ),
      ][n % 3]
      const ask = async (): Promise<{ [column: string]: unknown }[]> => {
        const answer = await rows?.().catch((error) => [{ error }])
        // What finds no connection in time, on a busy machine, comes again.
        const isLate = ["POOL_EXHAUSTED", "57014"].includes(answer?.[0]?.["error"]?.code)
        return isLate ? ask() : (answer ?? [])
      }
      const [row] = await ask()
      const isRight =
        row?.["id"] === id && row["title"] === `title of ${id}` && row["done"] === (id % 2 === 0)
      if (!isRight) wrong.push(row)
      counts[index] = (counts[index] ?? 0) + 1
    }
  }
  const users = Array.from({ length: USERS }, user)
  await work(allAnswered)
  isOver = true
  await Promise.all(users)
  expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThan(100)
  return wrong
}

test.concurrent("a table that is changed under load costs nobody an answer", () =>
  withTable(async (sql, url, warnings) => {
    const other = openSql(url)
    const wrong = await underLoad(sql, async (allAnswered) => {
      for (const type of ["bigint", "integer", "bigint", "integer"]) {
        await Bun.sleep(50)
        await other.unsafe(`alter table stored alter n type ${type}`)
        await allAnswered()
      }
    })
    await other.end()
    expect(wrong).toEqual([])
    expect(warnings).toEqual([])
  }))

test.concurrent("statements that are forgotten are sent anew, and none are prepared from then on", () =>
  withTable(async (sql, _url, warnings) => {
    const prepared = async () => (await sql`select from pg_prepared_statements`).count
    const wrong = await underLoad(sql, async () => {
      await Bun.sleep(100)
      expect(await prepared()).toBeGreaterThan(0)
      for (let n = 0; n < 10; n++) {
        await sql.unsafe("discard all").catch(() => {})
        await Bun.sleep(20)
      }
    })
    expect(wrong).toEqual([])
    expect(warnings).toEqual(["the pooler has no prepared statements: none are used from now on"])
    expect(await prepared()).toBe(0)
  }))

test.concurrent("what a connection has forgotten counts even if its plans were stale before", () =>
  withTable(async (sql, _url, warnings) => {
    const stored = "select * from stored where id = $1"
    const changed = "select * from changed where n = $1"
    await sql`create table changed (n integer)`
    const transaction = sql.begin(async (tag) => {
      await tag.unsafe(stored, [1], PREPARED)
      await tag`deallocate all`
      await sql.unsafe(changed, [1], PREPARED)
      await sql`alter table changed alter n type bigint`
      await sql.unsafe(changed, [1], PREPARED)
      await tag.unsafe(stored, [1], PREPARED)
    })
    expect(await transaction.catch((error) => error.code)).toBe("26000")
    expect(warnings).toHaveLength(1)
    const prepared = () => sql<{ count: number }[]>`
      select count(*)::integer, pg_sleep(0.1)::text
      from pg_prepared_statements`
    expect(await Promise.all([prepared(), prepared()])).toMatchObject([
      [{ count: 0 }],
      [{ count: 0 }],
    ])
  }))

test.concurrent("what meets a stale plan first and a forgotten statement then is sent anew for both", () =>
  withTable(async (sql) => {
    await sql`create sequence calls`
    await sql`
      create function called() returns bigint language plpgsql as $$
      declare call bigint := nextval('calls');
      begin
        if call = 2 then
          raise exception 'as after discard' using errcode = '26000';
        end if;
        return call;
      end
      $$`
    const call = () =>
      sql.unsafe("select called()::text, stored.* from stored where id = $1", [1], PREPARED)
    expect(await call()).toMatchObject([{ called: "1" }])
    await sql`alter table stored alter n type bigint`
    const before = sql.state().ended
    expect(await call()).toMatchObject([{ called: "3" }])
    expect(sql.state().ended - before).toBe(3)
  }))

test.concurrent("of what is sent anew only once, and never in a transaction", () =>
  withTable(async (sql) => {
    const failing = () =>
      sql.unsafe("select failed($1)", [1], PREPARED).catch((error) => error.message)
    await sql`create table attempts (n integer)`
    await sql`
      create function failed(integer) returns integer language plpgsql as $$
      begin
        raise exception 'as after discard' using errcode = '26000';
      end
      $$`
    const before = sql.state().ended
    expect(await failing()).toBe("as after discard")
    expect(sql.state().ended - before).toBe(2)
    let calls = 0
    const transaction = sql.begin(async (tag) => {
      calls++
      await tag.unsafe("select failed($1)", [1], PREPARED)
    })
    expect(await transaction.catch((error) => error.code)).toBe("26000")
    expect(calls).toBe(1)
  }))
