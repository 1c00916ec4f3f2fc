/** Makes sure at the start, and for /health/ready, that the schema is the one that this version needs. */
import type { Logger } from "pino"
import type { Sql } from "./connect.ts"
import { migrate, SchemaError, schemaState } from "./migrations/migrate.ts"
import { awaitDatabase, mayWrite } from "./wait.ts"

type Options = {
  log: Logger
  dataDir: string
  waitSeconds: number
  migrate: boolean
  allowNewerSchema: boolean
}

/** Waits for the database and migrates it. Throws if the schema is not the right one afterwards. */
export const prepareSchema = async (sql: Sql, url: string, options: Options) => {
  const { log, dataDir } = options
  const state = await awaitDatabase(sql, options.waitSeconds, log)
  const { changed, pending, unknown } =
    options.migrate && state.pending.length > 0
      ? await migrate(url, "up", { dataDir })
      : { ...state, changed: [] }
  for (const version of changed) log.info({ version }, "migration applied")
  if (pending.length > 0)
    throw new SchemaError(`The database lacks the migrations ${pending.join(", ")}`)
  if (unknown.length > 0 && !options.allowNewerSchema)
    throw new SchemaError(
      `The database has migrations that this version does not know: ${unknown.join(", ")}. ` +
        "Start with --allow-newer-schema if this is a roll-back.",
    )
}

/** A newer schema is fine: a rolling deploy may be under way. */
export const isReady = async (sql: Sql): Promise<boolean> => {
  try {
    const [{ pending }, isWritable] = await Promise.all([schemaState(sql), mayWrite(sql)])
    return isWritable && pending.length === 0
  } catch {
    return false
  }
}
