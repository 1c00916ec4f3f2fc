/** The one way of a command to its database: an external one, or the embedded one, running or not. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { createSecurityLog, type LogEvent } from "../accounts/security-log.ts"
import { type Config, readConfig } from "../config/config.ts"
import { connect } from "../database/connect.ts"
import { writableUrl } from "../database/failover.ts"
import { schemaState } from "../database/migrations/state.ts"
import type { Sql } from "../database/sql.ts"
import { createLog } from "../log.ts"

type Opened = AsyncDisposable & { url: string }

/** The embedded database is that of the running service, or it is started for the command. */
export const openDatabase = async (
  { DATABASE_URL, DATA_DIR }: Config,
  mayCreate = false,
): Promise<Opened> => {
  if (DATABASE_URL)
    return { url: await writableUrl(DATABASE_URL), [Symbol.asyncDispose]: async () => {} }
  if (!mayCreate && !existsSync(join(DATA_DIR, "postgres")))
    throw new Error(`there is no database in ${DATA_DIR}: set DATABASE_URL or DATA_DIR`)
  const { openEmbedded } = await import("../database/embedded/start.ts")
  const { url, stop } = await openEmbedded(DATA_DIR)
  return { url, [Symbol.asyncDispose]: stop }
}

type Users = { sql: Sql; logEvent: LogEvent }

/** For a command over users, which logs what it did to standard error: standard output is for the result. */
export const withUsers = async <Result>(
  env: NodeJS.ProcessEnv,
  work: (users: Users) => Promise<Result>,
): Promise<Result> => {
  const config = readConfig(env, false)
  await using opened = new AsyncDisposableStack()
  const { url } = opened.use(await openDatabase(config))
  const sql = connect(url, 1, { prepare: config.DATABASE_PREPARED_STATEMENTS === "true" })
  opened.defer(() => sql.end())
  await sql.found
  const log = createLog(config.LOG_LEVEL, 2)
  opened.defer(() => log.end())
  if ((await schemaState(sql)).pending.length > 0)
    throw new Error("the database is not migrated: start the service, or run todo-api migrate")
  return await work({ sql, logEvent: createSecurityLog(log) })
}
