/** Who is let into the embedded Postgres: the service, by a password, and with no more than it needs. */
import { expect, test } from "bun:test"
import { chownSync, mkdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { ownDirectory, serverEnvironment } from "../../src/database/embedded/process.ts"
import { accountOf, serverUser } from "../../src/database/embedded/server-user.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { embeddedUrl } from "../../src/database/embedded/url.ts"
import { executableDirectory } from "../../src/programs/directory.ts"
import { postgresProgram } from "../../src/programs/program.ts"
import { startCommand } from "../support/command.ts"
import { query, usedDataDir } from "../support/embedded.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const as = (url: string, username: string, password = "", database = "todo") => {
  const changed = new URL(url)
  changed.username = username
  changed.password = password
  changed.pathname = `/${database}`
  return changed.toString()
}

const expectNoRights = async (url: string) => {
  const rights = `select rolname, rolsuper, rolcreatedb, rolcreaterole
    from pg_roles where rolname = current_user`
  expect(await query(url, rights)).toEqual(["todo", false, false, false])
  await expect(query(url, "copy (select 1) to program 'true'")).rejects.toThrow("permission denied")
  await expect(query(url, "select pg_read_file('PG_VERSION')")).rejects.toThrow("permission denied")
  const password = new URL(url).password
  for (const other of [
    as(url, "todo"),
    as(url, "todo", `${password}x`),
    as(url, "superuser"),
    as(url, "superuser", password),
    as(url, "todo", password, "postgres"),
  ])
    await expect(query(other, "select 1")).rejects.toThrow()
}

test("the service's role is no superuser, and nobody is let in without its password", async () => {
  using data = await usedDataDir()
  const { url, stop } = await startEmbedded(data.path)
  await expectNoRights(url)
  await query(url, "create table made as select 2 as row")
  expect(statSync(join(data.path, "postgres_password"))).toMatchObject({
    uid: process.geteuid?.(),
    mode: 0o100600,
  })
  await stop()
})

test("the URL of a database that runs can be found, and there is none of one that does not", async () => {
  using data = await usedDataDir(`long ${"x".repeat(150)}`)
  const { stop } = await startEmbedded(data.path)
  expect(await query(embeddedUrl(data.path) ?? "", "select row from kept")).toEqual([1])
  await stop()
  expect(embeddedUrl(data.path)).toBeUndefined()
})

/** As it was made at first: its only role is a superuser, whom anybody can be. */
const clusterOfBefore = async (dataDir: string) => {
  mkdirSync(dataDir, { mode: 0o700 })
  const cluster = join(dataDir, "postgres")
  const user = serverUser(cluster, dataDir)
  const programs = await executableDirectory(postgresProgram(), user, dataDir)
  mkdirSync(cluster, { mode: 0o700 })
  if (user.uid !== undefined) chownSync(cluster, user.uid, user.gid ?? user.uid)
  const run = (program: string, args: string[], input = "") => {
    const { success, stderr } = Bun.spawnSync([join(programs, "bin", program), ...args], {
      ...user,
      cwd: cluster,
      env: serverEnvironment,
      stdin: Buffer.from(input),
    })
    if (!success) throw new Error(stderr.toString())
  }
  const own = ownDirectory(cluster, user)
  run("initdb", [`--pgdata=${own}`, "--username=todo", "--auth=trust", "--encoding=UTF8"])
  const execute = (database: string, statement: string) =>
    run("postgres", ["--single", "-j", "-D", own, database], `${statement};\n\n`)
  return { execute }
}

test("a cluster that trusted everybody keeps its data, and trusts nobody any more", async () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "data")
  const { execute } = await clusterOfBefore(dataDir)
  execute("postgres", "create database todo")
  execute(
    "todo",
    "create table kept (id serial primary key, row int); insert into kept (row) values (1)",
  )
  execute("todo", "create sequence kept_ids")
  for (const round of [1, 2]) {
    const { url, stop } = await startEmbedded(dataDir)
    await expectNoRights(url)
    await query(url, `insert into kept (row) values (${round + 1})`)
    await query(url, "alter sequence kept_ids maxvalue 100")
    await stop()
  }
  // As after a crash just before its password was stored.
  rmSync(join(dataDir, "postgres_password"))
  const { url, stop } = await startEmbedded(dataDir)
  await query(url, "alter table kept add column more int")
  expect(await query(url, "select row from kept")).toEqual([1, 2, 3])
  await expectNoRights(url)
  await stop()
})

test("a cluster of before whose first start was cut short becomes a service", async () => {
  using directory = temporaryDirectory()
  const dataDir = join(directory.path, "data")
  await clusterOfBefore(dataDir)
  await using service = await startCommand({ DATA_DIR: dataDir })
  expect((await service.account()).id).toBePositive()
  expect(await service.stop()).toBe(0)
})

test("root's Postgres runs under the account that is its own where there is one", () => {
  const passwd = ["root:x:0:0::/:/bin/sh", "postgres:x:101:103::/:", "todo-api:x:997:996::/:"]
  expect(accountOf(passwd.join("\n"))).toEqual({ uid: 997, gid: 996 })
  expect(accountOf(passwd.slice(0, 2).join("\n"))).toEqual({ uid: 101, gid: 103 })
  expect(accountOf("not-todo-api:x:5:5::/:")).toEqual({ uid: 65534, gid: 65534 })
})
