/** What is mended in postgres.js: .ci/patches. Each test fails without its lines. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { once } from "node:events"
import { Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import type postgres from "postgres"
import { openConnection } from "../../src/database/driver.ts"
import { PREPARED } from "../../src/database/sql.ts"
import { createDatabase } from "../support/postgres.ts"
import { answers, startPostgresServer } from "../support/postgres-server.ts"
import { openSql } from "../support/sql.ts"

const database = await createDatabase()
const admin = openSql(database.url, 2)
await admin`create table kept (id integer primary key, done boolean, name text)`

afterEach(async () => {
  await admin`delete from kept`
})

afterAll(async () => {
  await admin.end()
  await database.drop()
})

type Sql = postgres.Sql

const withConnection = async (work: (sql: Sql) => Promise<unknown>, more: object = {}) => {
  const sql = openConnection(database.url, { prepare: true, ...more })
  try {
    await work(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Its rows, or the code of its error. A statement that hangs is told from both. */
const outcomeOf = (work: PromiseLike<unknown>): Promise<unknown> =>
  Promise.race([
    Promise.resolve(work).then(
      (value) => (Array.isArray(value) ? value.map((row) => ({ ...row })) : value),
      (error) => error.code ?? error.message,
    ),
    Bun.sleep(30_000).then(() => "it hangs"),
  ])

const echo = (sql: Sql, n: number) => sql.unsafe("select $1::integer as n", [n], PREPARED)

const backend = async (sql: Sql) => {
  const [row] = await sql<[{ pid: number }]>`select pg_backend_pid() as pid`
  return row.pid
}
const terminate = (pid: number) => admin`select pg_terminate_backend(${pid})`
/** Until the server does what it was asked on that connection. */
const untilAsleep = async (pid: number) => {
  const asleep = () => admin`
    select
    from pg_stat_activity
    where pid = ${pid}
      and wait_event = 'PgSleep'`
  while ((await asleep()).count === 0) await Bun.sleep(5)
}

test("an error ends the count of rows", () =>
  withConnection(async (sql) => {
    const broken = sql.unsafe(
      "select 1 / (g - $1::integer) as n from generate_series(1, 100) as g",
      [50],
      PREPARED,
    )
    expect(await Promise.all([outcomeOf(broken), outcomeOf(echo(sql, 1))])).toEqual([
      "22012",
      [{ n: 1 }],
    ])
    expect(await outcomeOf(echo(sql, 2))).toEqual([{ n: 2 }])
  }))

test("a statement is built before it is queued: one that cannot be costs no other its answer", () =>
  withConnection(async (sql) => {
    const asked = [
      echo(sql, 1),
      echo(sql, undefined as never),
      echo(sql, 3),
      sql`select ${sql.json({ n: 1n } as never)} as n`,
      echo(sql, 5),
      echo(sql, Symbol("6") as never),
      echo(sql, 7),
    ]
    const [first, undefined_, third, bigint, fifth, symbol, seventh] = await Promise.all(
      asked.map(outcomeOf),
    )
    expect([first, third, fifth, seventh]).toEqual([1, 3, 5, 7].map((n) => [{ n }]))
    expect(undefined_).toBe("UNDEFINED_VALUE")
    expect([bigint, symbol]).not.toContain("it hangs")
    const inside = sql.begin(async (transaction) => {
      const slow = transaction`select pg_sleep(0.05)`
      const wrong = [1, 2].map(() => transaction`select ${undefined as never}`.catch(() => {}))
      const right = echo(transaction as never, 8)
      await Promise.all([slow, ...wrong])
      return right
    })
    expect(await outcomeOf(inside)).toBe("UNDEFINED_VALUE")
    expect(await outcomeOf(echo(sql, 9))).toEqual([{ n: 9 }])
  }))

test("a statement that the server does not know any more fails, and is not sent again", () =>
  withConnection(async (sql) => {
    await echo(sql, 1)
    await sql.unsafe("deallocate all")
    const asked = [echo(sql, 1), sql.unsafe("select $1::text as text", ["a"], PREPARED)]
    expect(await Promise.all(asked.map(outcomeOf))).toEqual(["26000", [{ text: "a" }]])
  }))

test("values are written by what they are, the same at each time, and stay what they are", () =>
  withConnection(async (sql) => {
    const values = [true, "f", 5, null, new Uint8Array([1, 255]), new Date(0), 7n]
    const before = [...values]
    const ask = () =>
      sql.unsafe(
        "select $1::boolean as a, $2::boolean as b, $3::text as c, $4::text as d, $5::bytea as e, $6::timestamptz as f, $7::bigint as g",
        values as never,
        PREPARED,
      )
    const [first] = await ask()
    expect(await outcomeOf(ask())).toEqual([{ ...first }])
    expect(first).toMatchObject({ a: true, b: false, c: "5", d: null, f: new Date(0), g: "7" })
    expect(values).toEqual(before)
  }))

test("a statement that is new to the server is sent at once, and others behind it", () =>
  withConnection(async (sql) => {
    await sql`select`
    const slow = sql.unsafe("select $1::integer as n, pg_sleep(0.2)::text", [1], PREPARED).execute()
    await Bun.sleep(1)
    const behind = [2, 3].map((n) => sql.unsafe(`select $1::integer as n${n}`, [n], PREPARED))
    const asked = Promise.all(behind)
    await Bun.sleep(20)
    // Their values are there before the first has ended.
    expect(behind.map((query) => (query as unknown as { state: unknown }).state)).not.toContain(
      null,
    )
    expect(await asked).toMatchObject([[{ n2: 2 }], [{ n3: 3 }]])
    await slow
  }))

test("a connection that was closed is not opened again", () => {
  const { promise: closed, resolve: onclose } = Promise.withResolvers<void>()
  return withConnection(
    async (sql) => {
      await terminate(await backend(sql))
      await closed
      expect(await outcomeOf(sql`select`)).toBe("CONNECTION_ENDED")
    },
    { onclose: () => onclose() },
  )
})

const copyRows = async (sql: Sql, rows: string[]) =>
  pipeline(Readable.from(rows), await sql`copy kept (id) from stdin`.writable())

test("a failure after CopyDone reaches the writer", () =>
  withConnection(async (sql) => {
    expect(await outcomeOf(copyRows(sql, ["1\n", "1\n"]))).toBe("23505")
    expect(await outcomeOf(echo(sql, 1))).toEqual([{ n: 1 }])
  }))

test("a connection that is lost after CopyDone fails the writer", () =>
  withConnection(async (sql) => {
    await admin.unsafe(`
      create function wait() returns trigger language plpgsql as
        'begin perform pg_sleep(60); return null; end';
      create trigger waiting after insert on kept for each statement execute function wait()`)
    const pid = await backend(sql)
    const copying = outcomeOf(copyRows(sql, ["1\n"]))
    await untilAsleep(pid)
    await terminate(pid)
    expect(await copying).toBe("CONNECTION_CLOSED")
    await admin`drop function wait cascade`
  }))

test("after a COPY to a slow reader the connection goes on", async () => {
  for (const kilobytes of [20, 100, 200, 400])
    await withConnection(async (sql) => {
      const text = `copy (select repeat('x', 1023) from generate_series(1, ${kilobytes})) to stdout`
      let count = 0
      for await (const chunk of await sql.unsafe(text).readable()) {
        count += chunk.length
        await Bun.sleep(1)
      }
      expect(count).toBe(kilobytes * 1024)
      expect(await outcomeOf(echo(sql, 1))).toEqual([{ n: 1 }])
    })
})

const long = "copy (select repeat('x', 100) from generate_series(1, 300000)) to stdout"

test("a COPY that its reader leaves ends the connection, and its transaction", () =>
  withConnection(async (sql) => {
    const transaction = sql.begin(async (tag) => {
      const rows = await tag.unsafe(long).readable()
      await pipeline(
        rows,
        new Writable({ write: (_chunk, _encoding, done) => done(new Error("no more of it")) }),
      )
    })
    expect(await outcomeOf(transaction)).toMatch(/CONNECTION_|no more of it/)
    expect(await outcomeOf(echo(sql, 1))).toBe("CONNECTION_ENDED")
  }))

test("a COPY that fails in the middle fails its reader, and the connection goes on", () =>
  withConnection(async (sql) => {
    const broken = "copy (select 1 / (500 - n) from generate_series(1, 1000) as n) to stdout"
    const rows = await sql.unsafe(broken).readable()
    const sink = new Writable({ write: (_chunk, _encoding, done) => void setTimeout(done, 1) })
    expect(await outcomeOf(pipeline(rows, sink))).toBe("22012")
    expect(await outcomeOf(echo(sql, 1))).toEqual([{ n: 1 }])
  }))

test("a COPY that was written whole is not failed afterwards", () =>
  withConnection(async (sql) => {
    for (const id of [1, 2, 3]) {
      const first = await sql`copy kept (id) from stdin`.writable()
      const ended = once(first, "close")
      first.end(`${id}\n`)
      await new Promise(setImmediate)
      // Asked for before the first one has ended.
      const second = sql`copy kept (id) from stdin`.writable()
      await ended
      const writer = await second
      writer.end(`${id + 10}\n`)
      await once(writer, "close")
    }
    expect(await outcomeOf(sql`delete from kept returning id`)).toHaveLength(6)
  }))

test("a transaction is committed and rolled back whatever the server has forgotten", () =>
  withConnection(async (sql) => {
    const insert = (id: number) =>
      sql.begin((transaction) => transaction`insert into kept (id) values (${id})`)
    await insert(1)
    await sql.unsafe("deallocate all")
    expect(await outcomeOf(sql.begin((transaction) => transaction`select 1 / 0`))).toBe("22012")
    expect(
      await outcomeOf(sql.begin((tag) => tag.unsafe("insert into kept (id) values (2)"))),
    ).toEqual([])
    expect(await outcomeOf(sql`delete from kept returning id`)).toEqual([{ id: 1 }, { id: 2 }])
  }))

test("a commit that is answered by ROLLBACK is none", async () => {
  await using server = await startPostgresServer((socket, said) => {
    if (said === "start") socket.write(answers.start)
    else if (said === "statement") socket.write(answers.statement)
    else socket.write(queries++ === 0 ? answers.begin : answers.rollback)
  })
  let queries = 0
  const sql = openConnection(server.url)
  const transaction = sql.begin((tag) => tag`insert into kept (id) values (1)`)
  expect(await outcomeOf(transaction)).toBe("ROLLED_BACK")
  await sql.end()
})

test("a rollback that fails ends the connection", async () => {
  await using server = await startPostgresServer((socket, said) => {
    if (said === "start") socket.write(answers.start)
    else if (said === "statement") socket.write(answers.failed)
    else socket.write(queries++ === 0 ? answers.begin : answers.failed)
  })
  let queries = 0
  const sql = openConnection(server.url)
  const transaction = sql.begin((tag) => tag`insert into kept (id) values (1)`)
  expect(await outcomeOf(transaction)).toMatch(/57014|CONNECTION_DESTROYED|CONNECTION_CLOSED/)
  expect(await outcomeOf(sql`select`)).toMatch(/CONNECTION_(ENDED|DESTROYED)/)
})

test("all statements of a transaction fail when its connection is lost", () =>
  withConnection(async (sql) => {
    const inner: Promise<unknown>[] = []
    const pid = await backend(sql)
    const transaction = sql.begin(async (tag) => {
      const large = "x".repeat(10_000_000)
      inner.push(outcomeOf(tag`select pg_sleep(60), ${large}::text`))
      await Bun.sleep(1)
      inner.push(outcomeOf(tag`select 2`), outcomeOf(tag`select 3`))
      await Promise.all(inner)
      throw new Error("as it was lost")
    })
    await untilAsleep(pid)
    while (inner.length < 3) await Bun.sleep(1)
    await terminate(pid)
    expect(await outcomeOf(transaction)).not.toBe("it hangs")
    expect(inner).toHaveLength(3)
    expect(await Promise.all(inner)).not.toContain("it hangs")
  }))

test("a transaction that has ended asks nothing more", () =>
  withConnection(async (sql) => {
    let late: (() => Promise<unknown>) | undefined
    for (const isFailing of [true, false]) {
      const over = sql.begin(async (tag) => {
        late = () => outcomeOf(tag`insert into kept (id) values (99)`)
        if (isFailing) await tag`select 1 / 0`
      })
      await outcomeOf(over)
      expect(await late?.()).toBe("TRANSACTION_ENDED")
      const next = sql.begin(async (tag) => {
        await tag`select`
        expect(await late?.()).toBe("TRANSACTION_ENDED")
      })
      expect(await outcomeOf(next)).toBeUndefined()
    }
    expect(await outcomeOf(sql`select from kept`)).toEqual([])
  }))

test("begin reserves its connection at the limit of the pipeline, too", () =>
  withConnection(
    async (sql) => {
      await sql`select`
      const slow = [1, 2, 3].map(() => sql`select pg_sleep(0.05)`.execute())
      const transaction = sql.begin(async (tag) => {
        await tag`insert into kept (id) values (1)`
        const other = echo(sql, 1)
        const isOver = await Promise.race([other.then(() => true), Bun.sleep(100)])
        await tag`delete from kept`
        return { isOver: isOver === true }
      })
      expect(await outcomeOf(transaction)).toEqual({ isOver: false })
      await Promise.all(slow)
    },
    { max_pipeline: 3 },
  ))

/** The server may be a while in ending. */
const untilNoneIsNamed = async (name: string) => {
  const named = () => admin`select from pg_stat_activity where application_name = ${name}`
  while ((await named()).count > 0) await Bun.sleep(10)
}

test("an instance that has ended leaves no connection, whatever waited there", async () => {
  const name = "ended"
  const outcomes: unknown[] = []
  for (let n = 0; n < 5; n++) {
    const sql = openConnection(database.url, { connection: { application_name: name } })
    await sql`select`
    const large = "x".repeat(1_000_000)
    const asked = [sql`select pg_sleep(0.1), ${large}::text`, echo(sql, 1), echo(sql, 2)]
    const answered = Promise.all(asked.map(outcomeOf))
    await Bun.sleep(10)
    await sql.end({ timeout: 2 })
    outcomes.push(...(await answered).slice(1))
  }
  expect(outcomes).not.toContain("it hangs")
  await Bun.sleep(100)
  await untilNoneIsNamed(name)
})

test("an instance that ends while its connection is opened leaves none", async () => {
  const name = "opening"
  for (let n = 0; n < 20; n++) {
    const sql = openConnection(database.url, { connection: { application_name: name } })
    const asked = outcomeOf(sql`select`)
    await Bun.sleep(n / 4)
    await sql.end({ timeout: 0 })
    expect(await asked).not.toBe("it hangs")
  }
  await Bun.sleep(100)
  await untilNoneIsNamed(name)
})

test("a server without TLS is named at once", async () => {
  let connections = 0
  await using server = await startPostgresServer((socket) => {
    connections++
    socket.write("N")
  })
  const sql = openConnection(`${server.url}?sslmode=require`)
  expect(await outcomeOf(sql`select`)).toBe("TLS_NOT_OFFERED")
  expect(connections).toBe(1)
})

test("a server that ends before it answers for TLS is not one without TLS", async () => {
  await using server = await startPostgresServer((socket) => void socket.write(answers.failed))
  const sql = openConnection(`${server.url}?sslmode=require`)
  expect(await outcomeOf(sql`select`)).toBe("CONNECTION_CLOSED")
})

test("an error holds no text: what fails leaves no memory", () =>
  withConnection(async (sql) => {
    const fail = async (times: number) => {
      for (let n = 0; n < times; n++)
        await sql.unsafe("select 1 / $1::integer", [0], PREPARED).catch(() => {})
      Bun.gc(true)
      return process.memoryUsage().heapUsed
    }
    const bytesOf = async () => {
      const before = await fail(500)
      return ((await fail(5_000)) - before) / 5_000
    }
    // Something else may be left on the heap meanwhile, but not each time.
    const found = [await bytesOf()]
    while (Math.min(...found) >= 100 && found.length < 5) found.push(await bytesOf())
    expect(Math.min(...found)).toBeLessThan(100)
  }))
