/** Who is let into the embedded Postgres: the service, by a password, and with no more than it needs. */
import { expect, test } from "bun:test"
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { embeddedUrl } from "../../src/database/embedded/url.ts"
import { runCommand } from "../support/command.ts"
import { query, usedDataDir } from "../support/embedded.ts"

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

for (const [name, damage, said] of [
  [
    "that trusts everybody",
    (path: string) => writeFileSync(join(path, "postgres/pg_hba.conf"), "local all all trust\n"),
    "pg_hba.conf is not the service's",
  ],
  [
    "whose password is lost",
    (path: string) => rmSync(join(path, "postgres_password")),
    "postgres_password is missing",
  ],
] as const)
  test(`a folder ${name} is refused with 78, and served to nobody`, async () => {
    using data = await usedDataDir()
    damage(data.path)
    const { code, err } = await runCommand(["serve"], { DATA_DIR: data.path })
    expect(code).toBe(78)
    expect(err).toContain(`DATA_DIR ${data.path} holds a database`)
    expect(err).toContain(said)
    expect(existsSync(join(data.path, "postgres", "postmaster.pid"))).toBe(false)
  })
