/** Opens the database for a command over users, and logs what the command did. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { createSecurityLog, type LogEvent } from "../accounts/security-log.ts"
import { readConfig } from "../config/config.ts"
import { connect, type Sql } from "../database/connect.ts"
import { schemaState } from "../database/migrations/migrate.ts"
import { createLog, endLog } from "../log.ts"

/** How long a reader of standard error may take. */
const LAST_LINES_MS = 1_000

type Opened = { sql: Sql; logEvent: LogEvent }

const openEmbedded = async (dataDir: string) => {
  if (!existsSync(join(dataDir, "postgres")))
    throw new Error(`there is no database in ${dataDir}: set DATABASE_URL or DATA_DIR`)
  return (await import("../database/embedded/open.ts")).openEmbedded(dataDir)
}

/** Works with an external database, and with the embedded one even while its service runs. */
export const withUsers = async <Result>(
  env: NodeJS.ProcessEnv,
  work: (opened: Opened) => Promise<Result>,
): Promise<Result> => {
  const config = readConfig(env, false)
  await using opened = new AsyncDisposableStack()
  const embedded = config.DATABASE_URL ? undefined : await openEmbedded(config.DATA_DIR)
  opened.defer(() => embedded?.stop())
  const url = config.DATABASE_URL ?? embedded?.url ?? ""
  const sql = connect(url, 1, config.DATABASE_PREPARED_STATEMENTS === "true")
  opened.defer(() => sql.end())
  // Standard output is for the result.
  const log = createLog(config.LOG_LEVEL, 2)
  opened.defer(() => endLog(log, LAST_LINES_MS))
  if ((await schemaState(sql)).pending.length > 0)
    throw new Error("the database is not migrated: start the service, or run todo-api migrate")
  return await work({ sql, logEvent: createSecurityLog(log) })
}
