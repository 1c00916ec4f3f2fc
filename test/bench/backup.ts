/** A backup and a restore of 1,200,000 todos, beside pg_dump's: time, size and memory. */
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { fillDatabase } from "./data.ts"
import { table } from "./report.ts"

const server = process.env["TEST_DATABASE_URL"]
if (server === undefined) throw new Error("To be run by .ci/postgres-15")
const databaseUrl = (name: string) => {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.toString()
}
const main = join(import.meta.dir, "..", "..", "src", "main.ts")
const programs = process.env["POSTGRES_15"] ?? "/usr/lib/postgresql/15/bin"

/** How long a command takes, and its own memory at most. */
const measure = async (command: string[], env: Record<string, string> = {}) => {
  const startedAt = performance.now()
  const child = Bun.spawn(command, {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "inherit", "inherit"],
  })
  if ((await child.exited) !== 0) throw new Error(`${command[0]} failed`)
  return {
    seconds: ((performance.now() - startedAt) / 1_000).toFixed(1),
    "memory MiB": ((child.resourceUsage()?.maxRSS ?? 0) / 2 ** 20).toFixed(0),
  }
}

const directory = mkdtempSync(join(tmpdir(), "todo-api-bench-"))
const admin = postgres({ ...connectionOptions(server), max: 1 })
try {
  for (const name of ["source", "ours", "theirs"]) await admin`create database ${admin(name)}`
  await (await fillDatabase(databaseUrl("source"))).end()
  const [own, dump] = [join(directory, "todo.backup"), join(directory, "dump")]
  const ours = (command: string, name: string) =>
    measure([process.execPath, main, command, own], { DATABASE_URL: databaseUrl(name) })
  const megabytes = (file: string) => (statSync(file).size / 1e6).toFixed(1)
  const backup = await ours("backup", "source")
  const dumped = await measure([
    join(programs, "pg_dump"),
    "--format=custom",
    `--file=${dump}`,
    databaseUrl("source"),
  ])
  const restore = await ours("restore", "ours")
  const restored = await measure([
    join(programs, "pg_restore"),
    `--dbname=${databaseUrl("theirs")}`,
    dump,
  ])
  console.log(
    table([
      { command: "todo-api backup", ...backup, "file MB": megabytes(own) },
      { command: "pg_dump -Fc", ...dumped, "file MB": megabytes(dump) },
      { command: "todo-api restore", ...restore, "file MB": "" },
      { command: "pg_restore", ...restored, "file MB": "" },
    ]),
  )
} finally {
  await admin.end()
  rmSync(directory, { recursive: true, force: true })
}
