/** The service as a whole: its database, migrated, and its server, from start to stop. */
import type { Logger } from "pino"
import { createThrottle } from "./accounts/throttle.ts"
import { createTokens } from "./accounts/tokens.ts"
import { createApp } from "./app.ts"
import { startCleanUp } from "./clean-up.ts"
import type { Config } from "./config.ts"
import { connect, type Sql } from "./database/connection.ts"
import { startEmbedded } from "./database/embedded.ts"
import { migrate, schemaState } from "./database/migrations.ts"
import { secretKey } from "./secret-key.ts"
import { createCursors } from "./todos/cursor.ts"

export type Service = {
  /** Where it listens. */
  url: string
  /** Takes no new connection, answers what is under way, and closes the database. */
  stop(): Promise<void>
}

type Options = { config: Config; log: Logger; migrate: boolean; allowNewerSchema: boolean }

/** A schema that this version cannot serve. */
export class SchemaError extends Error {
  override name = "SchemaError"
}

const prepareSchema = async (url: string, options: Options) => {
  const { changed, pending, unknown } = await migrate(url, options.migrate ? "up" : "status", {
    dataDir: options.config.DATA_DIR,
  })
  for (const version of changed) options.log.info({ version }, "migration applied")
  if (pending.length > 0)
    throw new SchemaError(`The database lacks the migrations ${pending.join(", ")}`)
  if (unknown.length > 0 && !options.allowNewerSchema)
    throw new SchemaError(
      `The database has migrations that this version does not know: ${unknown.join(", ")}. ` +
        "Start with --allow-newer-schema if this is a roll-back.",
    )
}

/** A newer schema than ours is fine: the rolling deploy that brought it is not over. */
const isReady = async (sql: Sql) => {
  try {
    return (await schemaState(sql)).pending.length === 0
  } catch {
    return false
  }
}

export const startService = async (options: Options): Promise<Service> => {
  const { config, log } = options
  const embedded = config.DATABASE_URL ? undefined : await startEmbedded(config.DATA_DIR)
  const background: (() => Promise<void>)[] = []
  const endBackground = () => Promise.all(background.map((end) => end()))
  try {
    const url = config.DATABASE_URL ?? embedded?.url ?? ""
    await prepareSchema(url, options)
    const sql = connect(url, config.DATABASE_POOL_SIZE)
    const key = secretKey(config)
    const tokens = createTokens(config, key, sql, log)
    const throttle = createThrottle(sql, config)
    const cursors = createCursors(key)
    const app = createApp({
      config,
      sql,
      tokens,
      throttle,
      cursors,
      log,
      isReady: () => isReady(sql),
    })
    background.push(await tokens.followRevocations(), startCleanUp(sql, log))
    app.listen({
      hostname: config.HOST,
      port: config.PORT,
      // Without it a second service on the same port would silently take half of the requests.
      reusePort: false,
      // The framework's error pages show source code.
      development: false,
    })
    return {
      url: String(app.server?.url).replace(/\/$/, ""),
      async stop() {
        await app.stop()
        await endBackground()
        await sql.end()
        await embedded?.stop()
      },
    }
  } catch (error) {
    await endBackground()
    await embedded?.stop()
    throw error
  }
}
