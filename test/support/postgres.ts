/** Databases for tests: one server for the run, one migrated template, a clone of it for each. */
import { afterAll, setDefaultTimeout } from "bun:test"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/database/connection.ts"
import { migrate } from "../../src/database/migrations.ts"

export type TestDatabase = { url: string; drop(): Promise<void> }

/** Through a shell that ends at once: then the server is no child of bun test's. */
const startServer = async (): Promise<string> => {
  const command = [process.execPath, join(import.meta.dir, "server.ts"), String(process.pid)]
  const shell = Bun.spawn(["/bin/sh", "-c", '"$@" &', "sh", ...command], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  })
  for await (const output of shell.stdout) return new TextDecoder().decode(output).trim()
  throw new Error("The tests' Postgres did not start")
}

const uniqueName = (kind: string) => `todo_api_${kind}_${randomUUID().replaceAll("-", "")}`

const databaseUrl = (serverUrl: string, name: string) => {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.toString()
}

const prepare = async () => {
  const url = process.env["TEST_DATABASE_URL"] ?? (await startServer())
  const admin = postgres({ ...connectionOptions(url), max: 2, onnotice: () => {} })
  const template = uniqueName("template")
  await admin`create database ${admin(template)}`
  await migrate(databaseUrl(url, template), "up")
  return { url, admin, template }
}

let server: ReturnType<typeof prepare> | undefined

const create = async (from: "template" | "template1"): Promise<TestDatabase> => {
  server ??= prepare()
  const { url, admin, template } = await server
  const name = uniqueName("test")
  const source = from === "template" ? template : from
  await admin`create database ${admin(name)} template ${admin(source)} strategy file_copy`
  const drop = async () => {
    await admin`drop database ${admin(name)} with (force)`
  }
  return { url: databaseUrl(url, name), drop }
}

export const createEmptyDatabase = () => create("template1")

let next: Promise<TestDatabase> | undefined

/** A migrated one. The next is made while this one is in use. */
export const createDatabase = (): Promise<TestDatabase> => {
  const database = next ?? create("template")
  next = database.then(() => create("template"))
  next.catch(() => {})
  return database
}

/** The first test that wants a database also waits for the server, on a busy machine for long. */
setDefaultTimeout(20_000)

/** bunfig.toml preloads this module, so that this is the end of the run and not of a file. */
afterAll(async () => {
  if (!server) return
  await (await next)?.drop()
  const { admin, template } = await server
  await admin`drop database ${admin(template)}`
  await admin.end()
})
