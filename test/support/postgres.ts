/** Databases for tests: each a clone of one migrated template. */
import { setDefaultTimeout } from "bun:test"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import type { Run } from "./run.ts"

export type TestDatabase = { url: string; drop(): Promise<void> }

/** Through a shell that ends at once: then it is no child of bun test's. */
const startRun = async (): Promise<Run> => {
  const command = [process.execPath, join(import.meta.dir, "run.ts"), String(process.pid)]
  const shell = Bun.spawn(["/bin/sh", "-c", '"$@" &', "sh", ...command], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  })
  for await (const output of shell.stdout) return JSON.parse(new TextDecoder().decode(output))
  throw new Error("The tests' Postgres did not start")
}

let started: Promise<Run> | undefined
const startedRun = () => {
  started ??= startRun()
  return started
}

/** For what later tests use too: it is removed at the end of the run. */
export const sharedDirectory = async () => (await startedRun()).directory

let admin: postgres.Sql | undefined
let databases = 0

const findStrategy = async (sql: postgres.Sql) => {
  const [row] = await sql<[{ name: string }]>`
    select case when current_setting('server_version_num')::int >= 150000
      then 'strategy file_copy' else '' end as name`
  return row.name
}
let strategy: Promise<string> | undefined

const create = async (from?: "template1"): Promise<TestDatabase> => {
  const { url, template } = await startedRun()
  admin ??= postgres({ ...connectionOptions(url), max: 2, onnotice: () => {} })
  const sql = admin
  const name = `${template}_${++databases}`
  // The fastest way, which is the only one before Postgres 15.
  strategy ??= findStrategy(sql)
  await sql`create database ${sql(name)} template ${sql(from ?? template)} ${sql.unsafe(await strategy)}`
  const drop = async () => {
    await sql`drop database ${sql(name)} with (force)`
  }
  const database = new URL(url)
  database.pathname = `/${name}`
  return { url: database.toString(), drop }
}

export const createEmptyDatabase = () => create("template1")

let next: Promise<TestDatabase> | undefined

/** A migrated one. The next is made while this one is in use. */
export const createDatabase = (): Promise<TestDatabase> => {
  const database = next ?? create()
  next = database.then(() => create())
  next.catch(() => {})
  return database
}

/**
 * Slow machines are no failure: this ends what hangs. bunfig.toml preloads this module, so that it holds for
 * all files: up to one that sets another, after which bun test's own --timeout holds.
 */
setDefaultTimeout(300_000)
