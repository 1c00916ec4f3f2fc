/** The embedded Postgres: it starts anywhere, for anybody, and once. */
import { expect, spyOn, test } from "bun:test"
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { connect } from "../../src/database/connect.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { runCommand, startCommand } from "../support/command.ts"
import {
  postmasterOf,
  query,
  startService,
  startServiceAs,
  usedDataDir,
} from "../support/embedded.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const isRoot = process.geteuid?.() === 0
const nobody = { uid: 65534, gid: 65534 }
test("a first start makes a private cluster in UTF-8 that listens on no port", async () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "new", "data")
  const { url, stop } = await startEmbedded(dataDir)
  try {
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    expect(await query(url, "show server_encoding")).toEqual(["UTF8"])
    expect(await query(url, "show listen_addresses")).toEqual([""])
    expect(await query(url, "show fsync")).toEqual(["on"])
    const locale = "select datlocprovider, datlocale from pg_database where datname = 'todo'"
    expect(await query(url, locale)).toEqual(["b", "C.UTF-8"])
  } finally {
    await stop()
  }
})

test("it takes more connections than the pool may have", async () => {
  using data = await usedDataDir()
  const { url, stop } = await startEmbedded(data.path, 1_000)
  expect(await query(url, "show max_connections")).toEqual(["1090"])
  await stop()
})

test("a second start has what the first one kept", async () => {
  using data = await usedDataDir()
  const { url, stop, exited } = await startEmbedded(data.path)
  expect(await query(url, "select row from kept")).toEqual([1])
  await stop()
  await exited
  expect(existsSync(join(data.path, "postgres", "postmaster.pid"))).toBe(false)
})

for (const name of [`with spaces ${"x".repeat(150)}`, "a,b"])
  test(`a path may be ${name.slice(0, 11)}, longer than the address of a socket or not`, async () => {
    using data = await usedDataDir(name)
    const { url, stop } = await startEmbedded(data.path)
    const sql = connect(url, 1)
    expect(await sql`select row from kept`).toMatchObject([{ row: 1 }])
    await sql.end()
    await stop()
  })

test("a service without any environment starts", async () => {
  using data = await usedDataDir()
  const service = await startService(data.path)
  expect(await query(service.url, "show timezone")).toEqual(["UTC"])
  expect(await service.kill("SIGTERM")).toBe(0)
})

test.if(isRoot)(
  "root's service runs Postgres as somebody else, in a home of mode 0700",
  async () => {
    using data = await usedDataDir()
    const { url, stop } = await startEmbedded(data.path)
    expect(statSync(dirname(data.path))).toMatchObject({ uid: 0, mode: 0o40700 })
    expect(statSync(join(data.path, "postgres")).uid).not.toBe(0)
    expect(await query(url, "select row from kept")).toEqual([1])
    await stop()
  },
)

test.if(isRoot)("an ordinary user's service starts, and root's leaves its data alone", async () => {
  using data = await usedDataDir()
  const service = await startServiceAs(nobody, dirname(data.path), data.path)
  await query(service.url, "update kept set row = 2")
  expect(await service.kill("SIGTERM")).toBe(0)
  await expect(startEmbedded(data.path)).rejects.toThrow(`belongs to user ${nobody.uid}`)
})

test.if(isRoot)(
  "a group that passes through DATA_DIR, as root's Postgres may, is fine",
  async () => {
    using data = await usedDataDir()
    chmodSync(data.path, 0o710)
    const { url, stop } = await startEmbedded(data.path)
    expect(await query(url, "select row from kept")).toEqual([1])
    await stop()
  },
)

test("a second service on the same DATA_DIR is refused while the first one lives", async () => {
  using data = await usedDataDir()
  const { url, stop } = await startEmbedded(data.path)
  await expect(startEmbedded(data.path)).rejects.toThrow("in use by another todo-api")
  expect(await query(url, "select 1")).toEqual([1])
  await stop()
})

test("a service that follows another waits until that one has shut down", async () => {
  using data = await usedDataDir()
  const predecessor = await startEmbedded(data.path)
  // It has found the lock taken when this returns. Its two seconds do not pass, however busy the machine is.
  using _ = spyOn(Date, "now").mockReturnValue(Date.now())
  const successor = startEmbedded(data.path)
  process.kill(postmasterOf(data.path), "SIGQUIT")
  await predecessor.exited
  const { url, stop } = await successor
  expect(await query(url, "select row from kept")).toEqual([1])
  await stop()
})

test("the remains of a first start that was killed are removed", async () => {
  using data = await usedDataDir()
  const remains = join(data.path, "postgres.new-killed")
  mkdirSync(join(remains, "base"), { recursive: true })
  const { stop } = await startEmbedded(data.path)
  expect(existsSync(remains)).toBe(false)
  await stop()
})

test("a cluster that Postgres refuses is reported with Postgres' reason", async () => {
  using data = await usedDataDir()
  await Bun.write(join(data.path, "postgres", "postgresql.conf"), "nonsense = on\n")
  await expect(startEmbedded(data.path)).rejects.toThrow("unrecognized configuration parameter")
})

test("a folder of another major version is refused with the commands that bring it over, untouched", async () => {
  using data = await usedDataDir()
  writeFileSync(join(data.path, "postgres", "PG_VERSION"), "17\n")
  const state = () =>
    Bun.spawnSync(
      ["/bin/sh", "-c", "find . -printf '%p %m %u %T@\\n' | sort; tar -cf - . | sha256sum"],
      {
        cwd: data.path,
      },
    ).stdout.toString()
  const before = state()
  for (const command of ["serve", "migrate", "backup"]) {
    const { code, err } = await runCommand([command], { DATA_DIR: data.path })
    expect({ command, code }).toEqual({ command, code: 78 })
    expect(err).toContain("is of Postgres 17, and this todo-api brings Postgres 18")
    expect(err).toContain("OLD-todo-api backup --with-secret todo-api.backup")
    expect(err).toContain("todo-api restore todo-api.backup")
  }
  expect(state()).toBe(before)
})

// By SIGTERM it would refuse new connections, and keep those that the service has, for ever.
for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const)
  test(`when somebody ends the embedded database by ${signal}, so does the service, with 1 and a reason`, async () => {
    using dataDir = await usedDataDir()
    const service = await startCommand({ DATA_DIR: dataDir.path })
    process.kill(postmasterOf(dataDir.path), signal)
    expect(await service.exited).toBe(1)
    expect(await service.log()).toContain("the embedded database ended")
  })

test("every command that reads works beside the embedded service", async () => {
  using dataDir = await usedDataDir()
  const env = { DATA_DIR: dataDir.path }
  await using service = await startCommand(env)
  const status = await runCommand(["migrate", "status"], env)
  expect(status).toMatchObject({ code: 0, err: "" })
  expect(status.out).toContain("pending: none\n")
  expect((await runCommand(["user", "list"], env)).code).toBe(0)
  expect((await runCommand(["backup", join(dataDir.path, "..", "file")], env)).code).toBe(0)
  expect((await service.call("GET", "/health/ready")).status).toBe(200)
})
