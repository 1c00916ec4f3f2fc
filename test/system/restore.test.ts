/** `todo-api backup` and `todo-api restore`: all of it, or nothing. */

import { expect, test } from "bun:test"
import { createWriteStream, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createZstdCompress } from "node:zlib"
import { writeArchive } from "../../src/backup/archive.ts"
import { openBackup } from "../../src/backup/restore.ts"
import { COLUMNS_LEFT_OUT, SEQUENCES, TABLES, TABLES_LEFT_OUT } from "../../src/backup/tables.ts"
import { createTrailer } from "../../src/backup/trailer.ts"
import { columnsToKeep } from "../../src/backup/write.ts"
import { migrationFiles } from "../../src/database/migrations/state.ts"
import { startApp } from "../support/app.ts"
import { backup, databaseWithTodos, emptyDatabase, restore, withSql } from "../support/backups.ts"
import { program, runCommand, spawnCommand } from "../support/command.ts"
import { canMount } from "../support/mounts.ts"
import { createDatabase } from "../support/postgres.ts"
import { insertTodos } from "../support/rows.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { SECRET_KEY } from "../support/tokens.ts"

const DONE = { code: 0, out: "", err: "" }
/** What COPY, tar or a careless reader could trip over. */
const TITLES = ["a\tb", "a\\nb\nc\r", "\\N", "\\.", "'; drop", "🦆 é", " x ", "a".repeat(254)]

const never = new AbortController().signal
const untar = (file: string, ...args: string[]) =>
  Bun.spawnSync(["tar", "--zstd", ...args, "--file", file]).stdout.toString()

const titlesIn = (url: string) =>
  withSql(url, async (sql) => {
    const rows = await sql<{ title: string }[]>`
      select title
      from todos`
    return rows.map(({ title }) => title)
  })

/** Of what a restore takes away for the time of loading. */
const definitionsIn = (url: string) =>
  withSql(url, async (sql) => {
    const indexes = await sql`
      select indexdef
      from pg_indexes
      where schemaname = 'public'
      order by indexdef`
    const triggers = await sql`
      select tgname, tgenabled
      from pg_trigger
      where not tgisinternal
      order by tgname`
    const constraints = await sql`
      select conrelid::regclass::text as table, conname, pg_get_constraintdef(oid) as definition
      from pg_constraint
      where connamespace = 'public'::regnamespace
      order by 1, 2`
    return { indexes: [...indexes], triggers: [...triggers], constraints: [...constraints] }
  })

test("what was there is there again: todos, logins, revocations, replays; and ids go on", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using target = await emptyDatabase()
  await using app = await startApp()
  const ada = await app.account("ada@example.org")
  const gone = await app.session(ada)
  await gone.post("/auth/logout")
  for (const title of TITLES) await ada.post("/todos", { title, description: `${title}${title}` })
  const key = { "idempotency-key": "a-key" }
  const created = await ada.post("/todos", { title: "once" }, key)
  const changed = await ada.patch("/todos/1", { is_completed: true })
  const before = await ada.get("/todos")
  const { body: changes } = await ada.get("/todos/changes")
  const deleted = await app.account("bob@example.org")
  await deleted.delete("/users/me")

  expect(await backup(app.databaseUrl, file)).toEqual(DONE)
  const late = await app.account("late@example.org")
  const { body: lost } = await ada.post("/todos", { title: "lost" })
  expect(await restore(target.url, file)).toEqual(DONE)

  expect(await definitionsIn(target.url)).toEqual(await definitionsIn(app.databaseUrl))
  await using restored = await startApp({ DATABASE_URL: target.url })
  const again = restored.withToken(ada.token)
  const after = await again.get("/todos")
  expect(after.text).toBe(before.text)
  expect((await again.get("/todos/1")).headers.get("etag")).toBe(changed.headers.get("etag"))
  const replay = await again.post("/todos", { title: "once" }, key)
  expect(replay.text).toBe(created.text)
  expect(replay.headers.get("idempotent-replayed")).toBe("true")
  for (const { token } of [gone, deleted])
    expect((await restored.withToken(token).get("/todos")).status).toBe(401)
  expect((await restored.logIn(ada)).status).toBe(200)
  const { next } = changes as { next: string }
  expect((await again.get(`/todos/changes?since=${next}`)).status).toBe(410)
  expect((await again.get("/todos/changes")).body).toMatchObject({ has_more: false })
  // Neither ids that the backup knows, nor those that were given out behind it.
  const { body: fresh } = await again.post("/todos", { title: "next" })
  expect((fresh as { id: number }).id).toBeGreaterThan((lost as { id: number }).id)
  expect((await restored.account("new@example.org")).id).toBeGreaterThan(late.id)
})

test("a tag from after the backup matches nothing that is written after the restore", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using target = await emptyDatabase()
  await using app = await startApp()
  const ada = await app.account("ada@example.org")
  await ada.post("/todos", { title: "one" })
  const before = await ada.put("/todos/1", { title: "two" })
  expect(await backup(app.databaseUrl, file)).toEqual(DONE)
  const lost = [await ada.put("/todos/1", { title: "three" })]
  for (const title of ["four", "five"]) {
    const operations = [{ op: "update", id: 1, todo: { title } }]
    await ada.post("/todos/batch", { operations })
    lost.push(await ada.get("/todos/1"))
  }
  expect(await restore(target.url, file)).toEqual(DONE)

  await using restored = await startApp({ DATABASE_URL: target.url })
  const again = restored.withToken(ada.token)
  const write = (tag: string | null, title: string) =>
    again.put("/todos/1", { title }, { "if-match": tag ?? "" })
  const tags = lost.map(({ headers }) => headers.get("etag"))
  let current = before.headers.get("etag")
  for (const title of ["by one", "by another", "by a third"]) {
    const { status, headers } = await write(current, title)
    expect(status).toBe(200)
    current = headers.get("etag")
    for (const tag of tags) expect((await write(tag, "of a lost state")).status).toBe(412)
  }
})

test("a backup of a distributed Postgres, where users may not be there yet, is restored into any", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using target = await emptyDatabase()
  const { url, drop } = await createDatabase()
  await withSql(url, async (sql) => {
    // As db/README.md distributes it.
    await sql`alter table todos drop constraint todos_owner_id_fkey`
    await sql`alter table revisions drop constraint revisions_owner_id_fkey`
    await insertTodos(sql, "title", "select 7::bigint, 'by a federated user'")
  })
  expect(await backup(url, file)).toEqual(DONE)
  await drop()
  expect(await restore(target.url, file)).toEqual(DONE)
  expect(await titlesIn(target.url)).toEqual(["by a federated user"])
  const users = await withSql(target.url, (sql) => sql`select id from users`)
  expect(users).toMatchObject([{ id: 7 }])
})

test("every table, column and sequence of the schema is kept, or is left out for a reason", async () => {
  const { url, drop } = await createDatabase()
  await withSql(url, async (sql) => {
    const namesOf = async (kind: string) =>
      (
        await sql<{ relname: string }[]>`
          select relname
          from pg_class
          where relnamespace = 'public'::regnamespace
            and relkind = ${kind}`
      ).map(({ relname }) => relname)
    const [tables, sequences] = [await namesOf("r"), await namesOf("S")]
    const known = [...TABLES, ...Object.keys(TABLES_LEFT_OUT)]
    expect(tables.filter((table) => !known.includes(table))).toEqual([])
    expect(SEQUENCES.toSorted()).toEqual(sequences.sort())
    const columns = await sql<{ name: string }[]>`
      select table_name || '.' || column_name as name
      from information_schema.columns
      where table_schema = 'public'
        and table_name in ${sql(TABLES)}
        and is_generated = 'NEVER'`
    const kept = Object.entries(await sql.begin(columnsToKeep)).flatMap(([table, names]) =>
      names.map((name) => `${table}.${name}`),
    )
    expect([...kept, ...Object.keys(COLUMNS_LEFT_OUT)].sort()).toEqual(
      columns.map(({ name }) => name).sort(),
    )
    // A restore loads them in this order.
    const references = await sql<{ child: string; parent: string }[]>`
      select conrelid::regclass::text as child, confrelid::regclass::text as parent
      from pg_constraint
      where contype = 'f'`
    for (const { child, parent } of references)
      expect(TABLES.indexOf(parent)).toBeLessThan(TABLES.indexOf(child))
  })
  await drop()
})

test("a backup is a private file that tar and a JSON reader understand, without a key", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using app = await startApp()
  const ada = await app.user()
  await ada.post("/todos", { title: "readable" })
  await backup(app.databaseUrl, file)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory.path)).toEqual(["todo.backup"])
  const names = untar(file, "--list").trim().split("\n")
  expect(names.slice(0, 3)).toEqual(["header.json", "users/000001.copy", "todos/000001.copy"])
  expect(names.at(-1)).toBe("manifest.json")
  const rows = untar(file, "--extract", "--to-stdout", "todos/000001.copy")
  expect(rows).toStartWith(`${ada.id}\t1\treadable\t\\N\tf\t1\t`)
  const manifest = JSON.parse(untar(file, "--extract", "--to-stdout", "manifest.json"))
  expect(manifest).toMatchObject({
    format: 1,
    migrations: Object.keys(migrationFiles()).map((name) => name.split("_")[0]),
    tables: {
      todos: { rows: 1, sha256: new Bun.CryptoHasher("sha256").update(rows).digest("hex") },
    },
  })
  expect(untar(file, "--extract", "--to-stdout")).not.toContain(SECRET_KEY)
  await backup(app.databaseUrl, file, "--with-secret")
  expect(untar(file, "--extract", "--to-stdout", "secret_key")).toBe(SECRET_KEY)
})

test("a backup that was cut off or changed anywhere is refused, and nothing is changed", async () => {
  using directory = temporaryDirectory()
  const [file, broken] = [join(directory.path, "whole"), join(directory.path, "broken")]
  await using app = await startApp()
  const ada = await app.user()
  await ada.post("/todos", { title: "precious" })
  await backup(app.databaseUrl, file)
  const bytes = Buffer.from(await Bun.file(file).arrayBuffer())
  await openBackup(file, never)

  const refused = async (content: Uint8Array) => {
    await Bun.write(broken, content)
    await expect(openBackup(broken, never)).rejects.toThrow("damaged or incomplete")
  }
  for (let length = 0; length < bytes.length; length += 1 + (length >> 4))
    await refused(bytes.subarray(0, length))
  await refused(bytes.subarray(0, -1))
  await refused(Buffer.concat([bytes, Buffer.alloc(1)]))
  for (let bit = 0; bit < bytes.length * 8; bit += 7) {
    const flipped = Buffer.from(bytes)
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    await refused(flipped)
  }

  await using target = await emptyDatabase()
  const answer = await restore(target.url, broken)
  expect(answer).toMatchObject({ code: 1, out: "" })
  expect(answer.err).toMatch(/^todo-api: The backup is damaged or incomplete: .+\n$/)
  expect(await target.tables()).toBe(0)
})

test("through a pipe it is the same, and half of it changes nothing", async () => {
  await using app = await startApp()
  const ada = await app.user()
  await ada.post("/todos", { title: "moved" })
  const shell = (command: string, url: string) =>
    Bun.spawn(["/bin/sh", "-c", command, "sh", ...program], {
      env: { PATH: process.env["PATH"] ?? "", FROM: app.databaseUrl, DATABASE_URL: url },
      stdio: ["ignore", "pipe", "pipe"],
    })
  await using target = await emptyDatabase()
  const half = shell('DATABASE_URL=$FROM "$@" backup | head -c 400 | "$@" restore -', target.url)
  expect(await half.exited).toBe(1)
  expect(await half.stderr.text()).toContain("its end is missing")
  expect(await target.tables()).toBe(0)
  const whole = shell('DATABASE_URL=$FROM "$@" backup - | "$@" restore -', target.url)
  expect(await whole.exited).toBe(0)
  expect(await titlesIn(target.url)).toEqual(["moved"])

  using directory = temporaryDirectory()
  await using other = await emptyDatabase()
  const pipe = join(directory.path, "pipe")
  Bun.spawnSync(["mkfifo", pipe])
  const named = shell(`DATABASE_URL=$FROM "$@" backup ${pipe} & "$@" restore ${pipe}`, other.url)
  expect(await named.stderr.text()).toBe("")
  expect(await titlesIn(other.url)).toEqual(["moved"])
})

test("a schema of one's own is restored into beside another program's", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using source = await databaseWithTodos(3)
  await backup(source.url, file)
  await using target = await emptyDatabase()
  await withSql(target.url, async (sql) => {
    await sql`create table schema_migrations as select '20150101000000' as version`
    await sql`create schema app`
  })
  const own = new URL(target.url)
  own.searchParams.set("search_path", "app,public")
  expect(await restore(own.href, file)).toEqual(DONE)
  await withSql(target.url, async (sql) => {
    expect([...(await sql`select count(*)::int from app.todos`)]).toEqual([{ count: 3 }])
    expect([...(await sql`select version from public.schema_migrations`)]).toHaveLength(1)
  })
})

test("a restore into a database with rows is refused, and so is one of a newer version", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using app = await startApp()
  await (await app.user()).post("/todos", { title: "here" })
  await backup(app.databaseUrl, file)
  const full = await restore(app.databaseUrl, file)
  expect(full.code).toBe(1)
  expect(full.err).toContain("The database is not empty: there are rows in users, todos")

  await withSql(
    app.databaseUrl,
    (sql) => sql`insert into schema_migrations values ('20990101000000')`,
  )
  const newer = await backup(app.databaseUrl, file)
  expect(newer.code).toBe(1)
  expect(newer.err).toContain("migrations that this version does not know: 20990101000000")
})

/** A whole and sealed archive that says something else than ours would. */
const forge = (file: string, said: object, rows: Record<string, string> = {}) =>
  pipeline(
    writeArchive({
      header: {
        format: 1,
        version: "9.9.9",
        postgres: "18.4",
        created_at: new Date().toISOString(),
        migrations: Object.keys(migrationFiles()).map((name) => name.slice(0, 14)),
        columns: {},
        has_secret_key: false,
        ...said,
      },
      secretKeys: [],
      rowsOf: async (table) => Readable.from([Buffer.from(rows[table] ?? "")]),
      sequences: async () => ({}),
      onProgress: () => {},
    }),
    createZstdCompress(),
    createTrailer(),
    createWriteStream(file),
  )

test.each([
  ["of another format", { format: 2 }, "of a newer version of todo-api"],
  ["of a newer schema", { migrations: ["20990101000000"] }, "of a newer version, todo-api 9.9.9"],
  [
    "with other columns",
    { columns: { users: ["id", "name"] } },
    "tables lack columns of the backup",
  ],
  [
    "with a table that nobody knows",
    { columns: { secrets: ["id"] } },
    "lack columns of the backup",
  ],
  ["with what is no list of columns", { columns: { users: 7 } }, "header.json breaks its schema"],
])("a backup %s is refused, and no row of it stays", async (_, said, reason) => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "forged")
  await forge(file, said)
  await using target = await emptyDatabase()
  const { code, err } = await restore(target.url, file)
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(reason) })
})

test.each([
  ["at once", { users: "too\tfew\n" }, /users|missing data/],
  // A foreign key is looked at when all rows are there.
  [
    "at the end",
    { todos: `8\t1\tx\t\\N\tf\t1${"\t2026-01-01 00:00:00+00".repeat(2)}\t1\n` },
    /todos/,
  ],
])("rows that the database refuses %s leave none behind", async (_, rows, reason) => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "forged")
  const { url, drop } = await createDatabase()
  await forge(file, { columns: await withSql(url, (sql) => sql.begin(columnsToKeep)) }, rows)
  const { code, err } = await restore(url, file)
  expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(reason) })
  expect(await titlesIn(url)).toEqual([])
  await drop()
})

test("what cannot be written leaves no file, and what cannot be read says so", async () => {
  using directory = temporaryDirectory()
  const { url, drop } = await createDatabase()
  const nowhere = await backup(url, join(directory.path, "no", "such", "folder"))
  expect(nowhere.code).toBe(1)
  expect((await backup(url, "/dev/full/x")).code).toBe(1)
  expect((await restore(url, join(directory.path, "missing"))).err).toContain("missing")
  const away = await backup("postgres://todo@127.0.0.1:1/todo", join(directory.path, "away"))
  expect(away.code).toBe(69)
  await using empty = await emptyDatabase()
  expect((await backup(empty.url, "-")).err).toContain("there is nothing to keep")
  expect(readdirSync(directory.path)).toEqual([])
  await drop()
})

test.if(canMount)("a read-only file system is named as the reason", async () => {
  using directory = temporaryDirectory()
  await using empty = await emptyDatabase()
  const script = `mount -t tmpfs -o ro tmpfs ${directory.path} && exec "$@"`
  const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"]
  const file = join(directory.path, "todo.backup")
  const { code, err } = await runCommand(["backup", file], { DATABASE_URL: empty.url }, { wrapper })
  expect({ code, err }).toEqual({
    code: 1,
    err: `todo-api: ${file} cannot be written: its file system is read-only\n`,
  })
})

const expectInterrupted = async (command: ReturnType<typeof spawnCommand>) => {
  command.kill("SIGINT")
  expect(await command.exited).toBe(1)
  expect(await command.stderr.text()).toContain("interrupted by SIGINT")
}

/** Nobody else reads or writes the table while the work is done. */
const whileLocked = (
  url: string,
  table: string,
  work: (isWaitedFor: () => Promise<boolean>) => Promise<void>,
) =>
  withSql(url, (sql) =>
    sql.begin(async (locking) => {
      await locking`lock table ${locking(table)} in access exclusive mode`
      await work(async () => {
        const waiting = await locking`
          select
          from pg_locks
          where relation = ${table}::regclass
            and not granted`
        return waiting.count > 0
      })
    }),
  )

test("a full disk, a reader that leaves and an interruption end a backup, and leave nothing behind", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  await using source = await databaseWithTodos(60_000)
  const inShell = (command: string) =>
    Bun.spawn(["/bin/bash", "-o", "pipefail", "-c", command, "bash", ...program], {
      env: { PATH: process.env["PATH"] ?? "", DATABASE_URL: source.url },
      stdout: "ignore",
      stderr: "pipe",
    })
  const full = inShell('"$@" backup - > /dev/full')
  expect(await full.exited).toBe(1)
  expect(await full.stderr.text()).toContain("no space left")
  const unread = inShell('"$@" backup - | head -c 10')
  expect(await unread.exited).toBe(1)
  expect(await unread.stderr.text()).toBe("todo-api: The backup's reader has left\n")

  // It cannot end before it is interrupted.
  const last = TABLES.at(-1) ?? ""
  await whileLocked(source.url, last, async () => {
    const interrupted = spawnCommand(["backup", file], { DATABASE_URL: source.url })
    while (readdirSync(directory.path).length === 0) await Bun.sleep(1)
    await expectInterrupted(interrupted)
  })
  expect(readdirSync(directory.path)).toEqual([])
})

test("a backup or a restore that waits for somebody's lock is interrupted, too", async () => {
  using directory = temporaryDirectory()
  const file = join(directory.path, "todo.backup")
  const { url, drop } = await createDatabase()
  expect(await backup(url, file)).toEqual(DONE)
  for (const command of ["backup", "restore"])
    await whileLocked(url, "todos", async (isWaitedFor) => {
      const waiting = spawnCommand([command, file], { DATABASE_URL: url })
      while (!(await isWaitedFor())) await Bun.sleep(10)
      await expectInterrupted(waiting)
    })
  expect(readdirSync(directory.path)).toEqual(["todo.backup"])
  await drop()
})
