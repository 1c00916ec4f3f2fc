/**
 * What the tests of one process share: a Postgres with a migrated template, and a directory. All of
 * it is gone when that process is. A process of its own, because bun test kills all its children
 * when one test times out, and says to nobody that it ends.
 */
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import { isAway } from "../../src/database/errors.ts"
import { migrate } from "../../src/database/migrations/migrate.ts"
import { superuserUrl } from "./superuser.ts"
import { temporaryDirectory } from "./temporary.ts"

/** `url`: of the server. */
export type Run = { url: string; template: string; directory: string }

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

using directory = temporaryDirectory()
const given = process.env["TEST_DATABASE_URL"]
const dataDir = join(directory.path, "server")
const server = given === undefined ? await startEmbedded(dataDir) : undefined
const url = server ? await superuserUrl(dataDir, server.url) : (given ?? "")
const sql = postgres({ ...connectionOptions(url), max: 1, onnotice: () => {} })
if (server) {
  // What tests write may be lost with the machine.
  await sql`alter system set fsync = off`
  await sql`select pg_reload_conf()`
}

/** Also the beginning of the name of each database that is made from it. */
const template = `todo_api_${crypto.randomUUID().replaceAll("-", "")}`
await sql`create database ${sql(template)}`
const templateUrl = new URL(url)
templateUrl.pathname = `/${template}`
await migrate(templateUrl.toString(), "up")

const run: Run = { url, template, directory: directory.path }
console.log(JSON.stringify(run))
while (isAlive(Number(process.argv[2]))) await Bun.sleep(100)

const dropDatabases = async () => {
  const databases = await sql<{ datname: string }[]>`
    select datname
    from pg_database
    where starts_with(datname, ${template})`
  for (const { datname } of databases) await sql`drop database ${sql(datname)} with (force)`
}

// A server that was started for the run may have ended with it: then nothing is left to drop.
if (!server)
  await dropDatabases().catch((error: unknown) => {
    if (!isAway(error)) throw error
  })
await sql.end()
await server?.stop()
