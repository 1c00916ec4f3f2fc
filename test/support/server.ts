/**
 * A Postgres for one run of the tests, ended and removed when the process it was started for is
 * gone. A process of its own, because bun test kills all its children when one test times out.
 */
import postgres from "postgres"
import { connectionOptions } from "../../src/database/connection.ts"
import { startEmbedded } from "../../src/database/embedded.ts"
import { temporaryDirectory } from "./temporary.ts"

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

using directory = temporaryDirectory()
const server = await startEmbedded(directory.path)
const sql = postgres(connectionOptions(server.url))
// What tests write may be lost with the machine.
await sql`alter system set fsync = off`
await sql`select pg_reload_conf()`
await sql.end()
console.log(server.url)
while (isAlive(Number(process.argv[2]))) await Bun.sleep(100)
await server.stop()
