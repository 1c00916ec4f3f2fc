/** Moving a whole service: by a backup while it is written to, and by a copy of its folder. */

import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { backup, databaseWithTodos, emptyDatabase, restore, withSql } from "../support/backups.ts"
import { patiently } from "../support/client.ts"
import {
  type Command,
  program,
  runCommand,
  spawnCommand,
  startCommand,
} from "../support/command.ts"
import { insertMany } from "../support/rows.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const ci = (name: string) => join(import.meta.dir, "..", "..", ".ci", name)

/** Ends with its standard input. `around`: what else of .ci runs in it. */
const startPostgres15 = async (...around: string[]) => {
  const tell = 'echo "$TEST_DATABASE_URL" "$TEST_POOLER_DIRECTORY"; read -r _'
  const command = [ci("postgres-15"), ...around.map(ci), "/bin/sh", "-c", tell]
  const server = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] })
  for await (const output of server.stdout) {
    const [url = "", pooler = ""] = new TextDecoder().decode(output).trim().split(" ")
    return {
      url,
      /** Of a database of its own, by way of the pooler. */
      pooled: (name: string) => `postgres://todo@localhost/${name}?host=${pooler}&port=6432`,
      async [Symbol.asyncDispose]() {
        server.stdin.end()
        await server.exited
      },
    }
  }
  throw new Error("Postgres 15 did not start")
}

const WRITERS = 16

/** Each writes one todo after the other, numbered, until it is told to stop. */
const startWriters = (service: Command, token: string) => {
  const { post } = service.withToken(token)
  const acknowledged: number[] = Array(WRITERS).fill(0)
  let isOver = false
  const all = acknowledged.map(async (_, writer) => {
    while (!isOver) {
      const number = (acknowledged[writer] ?? 0) + 1
      const title = `${writer} ${number}`
      const key = { "idempotency-key": `${writer}-${number}` }
      const { status } = await patiently(() => post("/todos", { title }, key))
      if (status !== 201) throw new Error(`A write was answered with ${status}`)
      acknowledged[writer] = number
    }
  })
  return {
    acknowledged,
    /** Each has written some todos. */
    untilBusy: async () => {
      while (acknowledged.some((count) => count < 10)) await Bun.sleep(5)
    },
    stop: async () => {
      isOver = true
      await Promise.all(all)
    },
  }
}

/** How many todos of each writer there are: the first ones, with no gap. */
const keptOf = async (service: Command, token: string) => {
  const { body } = await service.withToken(token).get("/todos")
  const numbers = (body as { title: string }[]).map(({ title }) => title.split(" ").map(Number))
  return Array.from({ length: WRITERS }, (_, writer) => {
    const own = numbers.filter(([by]) => by === writer).map(([, number]) => number)
    expect(own.toSorted((a = 0, b = 0) => a - b)).toEqual(own.map((_, index) => index + 1))
    return own.length
  })
}

test("a service moves from embedded to Postgres 15 and back while 16 writers write", async () => {
  using directory = temporaryDirectory()
  await using external = await startPostgres15()
  const [first, last, file] = ["first", "last", "todo.backup"].map((name) =>
    join(directory.path, name),
  ) as [string, string, string]

  /** Nothing that was acknowledged before the backup is missing; ids and tokens go on. */
  const moved = async (service: Command, before: number[], token: string) => {
    const kept = await keptOf(service, token)
    for (const [writer, count] of kept.entries())
      expect(count).toBeGreaterThanOrEqual(before[writer] ?? 0)
    const { status } = await service.withToken(token).post("/todos", { title: "of no writer" })
    expect(status).toBe(201)
  }

  const embedded = await startCommand({ DATA_DIR: first, SECRET_KEY: "" })
  const ada = await embedded.account()
  const gone = await embedded.session(ada)
  await gone.post("/auth/logout")
  const writers = startWriters(embedded, ada.token)
  await writers.untilBusy()
  const before = [...writers.acknowledged]
  expect(await runCommand(["backup", "--with-secret", file], { DATA_DIR: first })).toMatchObject({
    code: 0,
  })
  await writers.stop()
  await embedded.stop()

  expect(await runCommand(["restore", file], { DATABASE_URL: external.url })).toMatchObject({
    code: 0,
    err: "The backup holds a signing key: the first line of its secret_key is for SECRET_KEY\n",
  })
  const SECRET_KEY = readFileSync(join(first, "secret_key"), "utf8")
  const onFifteen = await startCommand({ DATABASE_URL: external.url, SECRET_KEY })
  await moved(onFifteen, before, ada.token)
  expect((await onFifteen.withToken(gone.token).get("/todos")).status).toBe(401)

  const others = await onFifteen.account("others@example.org")
  const more = startWriters(onFifteen, others.token)
  await more.untilBusy()
  const between = [...more.acknowledged]
  const pipe = Bun.spawn(
    [
      "/bin/sh",
      "-c",
      '"$@" backup --with-secret - | DATABASE_URL= "$@" restore -',
      "sh",
      ...program,
    ],
    {
      env: {
        PATH: process.env["PATH"] ?? "",
        DATABASE_URL: external.url,
        SECRET_KEY,
        DATA_DIR: last,
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  )
  expect(await pipe.exited).toBe(0)
  await more.stop()
  await onFifteen.stop()

  await using again = await startCommand({ DATA_DIR: last, SECRET_KEY })
  await moved(again, before, ada.token)
  await moved(again, between, others.token)
  expect((await again.withToken(gone.token).get("/todos")).status).toBe(401)
  await again.stop()
})

test("a backup and a restore go through PgBouncer in transaction mode", async () => {
  using directory = temporaryDirectory()
  await using server = await startPostgres15("pgbouncer")
  const file = join(directory.path, "todo.backup")
  await withSql(server.url, async (sql) => {
    await sql`create database one`
    await sql`create database other`
  })
  const [one, other] = [server.pooled("one"), server.pooled("other")]
  expect(await runCommand(["migrate"], { DATABASE_URL: one })).toMatchObject({ code: 0 })
  await withSql(one, async (sql) => {
    await sql.unsafe("insert into users (id) values (7)")
    await insertMany(sql, 7, 5_000)
  })
  expect(await backup(one, file)).toMatchObject({ code: 0, err: "" })
  expect(await runCommand(["restore", file], { DATABASE_URL: other })).toMatchObject({ code: 0 })
  await withSql(other, async (sql) => {
    expect(await sql.unsafe("select count(*)::int as todos from todos").simple()).toMatchObject([
      { todos: 5_000 },
    ])
  })
})

test("a backup waits for a reader of its pipe that is slow", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  // More than a pipe holds.
  await using source = await databaseWithTodos(20_000)
  await using target = await emptyDatabase()
  const pipe = Bun.spawn(
    ["/bin/sh", "-c", 'file=$0; "$@" backup - | { sleep 1; cat; } >"$file"', file, ...program],
    { env: { PATH: process.env["PATH"] ?? "", DATABASE_URL: source.url } },
  )
  expect(await pipe.exited).toBe(0)
  expect(await restore(target.url, file)).toMatchObject({ code: 0 })
})

/**
 * Prints how many bytes a command has in memory at most. In a process of its own: the kernel counts what the
 * process has that starts a command, which is little for this one.
 */
const measured = [
  process.execPath,
  "--eval",
  `const child = Bun.spawn(process.argv.slice(1), { stdio: ["ignore", "inherit", "inherit"] })
  process.exitCode = await child.exited
  console.log(child.resourceUsage().maxRSS)`,
]

/** Of 4,000 bytes each. In the trash, because what is searched takes long to insert. */
const insertDeleted = (url: string, count: number) =>
  withSql(url, async (sql) => {
    await sql`
      insert into deleted_todos
        (owner_id, id, revision, title, description, is_completed, created_at, updated_at)
      select 7, n, n, 'todo ' || n, repeat('🌲', 999), false, now(), now()
      from generate_series(1, ${count}::integer) as n`
  })

test("400 MB are backed up and restored with less than half of that in memory", async () => {
  using directory = temporaryDirectory()
  const peaks = []
  for (const todos of [10, 100_000]) {
    const file = join(directory.path, String(todos))
    await using source = await databaseWithTodos(10)
    await insertDeleted(source.url, todos)
    await using target = await emptyDatabase()
    const commands = [
      ["backup", file, source.url],
      ["restore", file, target.url],
    ] as const
    for (const [command, path, DATABASE_URL] of commands) {
      const child = spawnCommand([command, path], { DATABASE_URL }, { wrapper: measured })
      const peak = await child.stdout.text()
      expect(await child.exited).toBe(0)
      peaks.push(Number(peak))
    }
  }
  // Some ten MB are garbage that is not collected yet: of any amount of rows.
  const [fewOut = Number.NaN, fewIn = Number.NaN, manyOut, manyIn] = peaks
  expect(manyOut).toBeLessThan(fewOut + 200e6)
  expect(manyIn).toBeLessThan(fewIn + 200e6)
}, 600_000)

test("a restore that is killed leaves the database empty, and the next one fills it", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using source = await databaseWithTodos(20_000)
  expect(await backup(source.url, file)).toMatchObject({ code: 0 })
  await using target = await emptyDatabase()
  expect(await runCommand(["migrate"], { DATABASE_URL: target.url })).toMatchObject({ code: 0 })
  const count = () =>
    withSql(target.url, async (sql) => {
      const [row] = await sql`select count(*)::int as todos from todos`
      return row?.["todos"]
    })
  await withSql(target.url, (sql) =>
    sql.begin(async (holder) => {
      // What a restore changes last, when all rows are there.
      await holder`select from epochs for update`
      await using killed = spawnCommand(["restore", file], { DATABASE_URL: target.url })
      const waiting = () => holder`
        select from pg_locks
        where pg_backend_pid() = any(pg_blocking_pids(pid))`
      while ((await waiting()).count === 0) expect(killed.exitCode).toBeNull()
      killed.kill("SIGKILL")
      await killed.exited
    }),
  )
  expect(await count()).toBe(0)
  expect(await runCommand(["restore", file], { DATABASE_URL: target.url })).toMatchObject({
    code: 0,
  })
  expect(await count()).toBe(20_000)
})

const run = (...command: string[]) => {
  const { success, stderr } = Bun.spawnSync(command, { stderr: "pipe" })
  if (!success) throw new Error(`${command[0]}: ${stderr}`)
}

test("a copy of DATA_DIR, taken while the service is stopped, is the whole service elsewhere", async () => {
  using directory = temporaryDirectory()
  const [data, archive, restored] = ["data", "backup.tar.gz", "restored"].map((name) =>
    join(directory.path, name),
  ) as [string, string, string]
  // Its own secret, too: the tokens of before go on being good.
  const settings = { SECRET_KEY: "" }
  const first = await startCommand({ ...settings, DATA_DIR: data })
  const ada = await first.account()
  await ada.post("/todos", { title: "kept" })
  expect(await first.stop()).toBe(0)

  run("tar", "--create", "--gzip", "--numeric-owner", "--file", archive, "--directory", data, ".")
  run("mkdir", "--mode", "0700", restored)
  run("tar", "--extract", "--gzip", "--numeric-owner", "--file", archive, "--directory", restored)

  await using second = await startCommand({ ...settings, DATA_DIR: restored })
  const { body } = await second.withToken(ada.token).get("/todos")
  expect(body).toMatchObject([{ title: "kept" }])
  expect(await second.stop()).toBe(0)
})
