/** The superuser of an embedded cluster, for what tests do to it: the service lets nobody be it. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"

const canConnect = async (url: string) => {
  const sql = postgres({ ...connectionOptions(url), max: 1, connect_timeout: 1 })
  try {
    await sql`select`
    return true
  } catch {
    return false
  } finally {
    await sql.end()
  }
}

/** The URL of a running cluster's superuser, who is let in from now on. */
export const superuserUrl = async (dataDir: string, url: string): Promise<string> => {
  const cluster = join(dataDir, "postgres")
  writeFileSync(join(cluster, "pg_hba.conf"), "local all superuser trust\n", { flag: "a" })
  process.kill(Number.parseInt(readFileSync(join(cluster, "postmaster.pid"), "utf8"), 10), "SIGHUP")
  const own = new URL(url)
  own.username = "superuser"
  own.password = ""
  while (!(await canConnect(own.toString()))) await Bun.sleep(10)
  return own.toString()
}
