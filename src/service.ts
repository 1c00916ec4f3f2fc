/** The service as a whole: its database, migrated, and its server, from start to stop. */
import { deleteExpiredMails } from "./accounts/mail/queries.ts"
import {
  createPasswordReset,
  deleteExpiredPasswordResets,
} from "./accounts/password-resets/queries.ts"
import { deleteExpiredPersonalTokens } from "./accounts/personal-tokens/queries.ts"
import { deleteExpiredInvites } from "./accounts/registration/queries.ts"
import { createLastUse } from "./accounts/sessions/last-use.ts"
import { deleteExpiredRefreshTokens, deleteExpiredSessions } from "./accounts/sessions/queries.ts"
import { deleteExpiredKnownAddresses, deleteExpiredThrottles } from "./accounts/throttle/queries.ts"
import { deleteExpiredRevocations } from "./accounts/tokens/queries.ts"
import { createTokens } from "./accounts/tokens/tokens.ts"
import { createApp } from "./app.ts"
import type { Config } from "./config/config.ts"
import { connect, type Sql } from "./database/connection.ts"
import { migrate, schemaState } from "./database/migrations/migrate.ts"
import { awaitDatabase, mayWrite } from "./database/wait.ts"
import { expectFreePort, listen } from "./http/listen.ts"
import { type DeleteExpired, startExpiry } from "./jobs/expiry.ts"
import type { Secrets } from "./keys/mac.ts"
import { noteUse, secretKeys } from "./keys/secret-keys.ts"
import type { Log } from "./log.ts"
import { deleteExpiredKeys } from "./todos/queries.ts"
import { createCommits } from "./todos/sync/commits.ts"
import { deleteExpiredTombstones } from "./todos/sync/queries.ts"
import { createWatchers } from "./todos/sync/watchers.ts"

export type Service = {
  /** Where it listens. */
  url: string
  metricsUrl: string | undefined
  /** Resolves when the embedded database has ended. */
  databaseEnded: Promise<void>
  /** Turns readiness 503, and asks clients to leave: each answer closes its connection. */
  drain(): void
  /** Takes no new connection, answers what is under way, and closes the database. */
  stop(): Promise<void>
}

type Options = { config: Config; log: Log; migrate: boolean; allowNewerSchema: boolean }

/** A schema that this version cannot serve. */
class SchemaError extends Error {
  override name = "SchemaError"
}

const prepareSchema = async (sql: Sql, url: string, { config, log, ...options }: Options) => {
  const state = await awaitDatabase(sql, config.DATABASE_WAIT_SECONDS, log)
  const { changed, pending, unknown } =
    options.migrate && state.pending.length > 0
      ? await migrate(url, "up", { dataDir: config.DATA_DIR })
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

/** A newer schema than ours is fine: the rolling deploy that brought it is not over. */
const isReady = async (sql: Sql) => {
  try {
    const [{ pending }, isWritable] = await Promise.all([schemaState(sql), mayWrite(sql)])
    return isWritable && pending.length === 0
  } catch {
    return false
  }
}

/** Loaded where they are asked for: a start pays for what it uses. */
const embeddedDatabase = async (dataDir: string) =>
  (await import("./database/embedded/embedded.ts")).startEmbedded(dataDir)
const metricsOf = async (sql: Sql) =>
  (await import("./http/monitoring/metrics.ts")).createMetrics(sql.state)

/** What serves, made of what it needs. */
const assemble = async (
  { config, log }: Options,
  secrets: Secrets,
  sql: Sql,
  isStopping: () => boolean,
) => {
  const metrics = config.METRICS_PORT === undefined ? undefined : await metricsOf(sql)
  const lastUse = createLastUse(sql, log)
  const tokens = createTokens(config, secrets, { sql, log, noteUse: lastUse.note })
  const commits = createCommits()
  const watchers = createWatchers(sql, commits)
  const app = createApp({
    config,
    secrets,
    sql,
    tokens,
    commits,
    watchers,
    log,
    metrics,
    isReady: async () => !isStopping() && (await isReady(sql)),
    isStopping,
  })
  return { app, tokens, lastUse, watchers, metrics }
}

/** What each feature deletes once it has expired. */
const deletionsOf = (sql: Sql): DeleteExpired[] => [
  (limit) => deleteExpiredSessions(sql, limit),
  (limit) => deleteExpiredRefreshTokens(sql, limit),
  (limit) => deleteExpiredPersonalTokens(sql, limit),
  (limit) => deleteExpiredRevocations(sql, limit),
  (limit) => deleteExpiredThrottles(sql, limit),
  (limit) => deleteExpiredKnownAddresses(sql, limit),
  (limit) => deleteExpiredInvites(sql, limit),
  (limit) => deleteExpiredPasswordResets(sql, limit),
  (limit) => deleteExpiredMails(sql, limit),
  (limit) => deleteExpiredKeys(sql, limit),
  (limit) => deleteExpiredTombstones(sql, limit),
]

/** Loaded only where mails are sent. */
const outbox = async ({ SMTP_URL, SMTP_FROM, PASSWORD_RESET_URL }: Config, sql: Sql, log: Log) => {
  if (!SMTP_URL || !SMTP_FROM) return () => {}
  const [{ startOutbox }, { createSmtp }] = await Promise.all([
    import("./accounts/mail/outbox.ts"),
    import("./accounts/mail/smtp.ts"),
  ])
  const send = createSmtp(SMTP_URL, SMTP_FROM)
  return startOutbox({
    sql,
    log,
    send,
    createPasswordReset: (userId) => createPasswordReset(sql, userId),
    passwordResetUrl: PASSWORD_RESET_URL,
  })
}

/** Resolves to false if it takes longer than `ms`. */
const isOverWithin = (ms: number, work: Promise<unknown>): Promise<boolean> =>
  Promise.race([work.then(() => true), Bun.sleep(Math.max(0, ms)).then(() => false)])

/** The listener is closed when no request has come or gone for this long, and in the end anyway. */
const QUIET_MS = 3
const QUIET_LIMIT_MS = 250

/** A connection that the kernel has taken, and we have not, is reset when the listener closes. */
const betweenRequests = async (server: Bun.Server<unknown>) => {
  const deadline = performance.now() + QUIET_LIMIT_MS
  let before = server.pendingRequests
  for (let quiet = 0; quiet < QUIET_MS && performance.now() < deadline; quiet++) {
    await Bun.sleep(1)
    // Some that are under way may stay so for long.
    if (server.pendingRequests !== before) quiet = -1
    before = server.pendingRequests
  }
}

/** Of the time for shutting down, what is kept for closing the database. */
const CLOSING_SHARE = 0.2

export const startService = async (options: Options): Promise<Service> => {
  const { config, log } = options
  // What was opened closes again, the last one first: where the start fails, and at the end.
  await using opened = new AsyncDisposableStack()
  await expectFreePort(config)
  const embedded = config.DATABASE_URL ? undefined : await embeddedDatabase(config.DATA_DIR)
  opened.defer(() => embedded?.stop())
  const url = config.DATABASE_URL ?? embedded?.url ?? ""
  noteUse(config)
  const secrets = secretKeys(config)
  const sql = connect(
    url,
    config.DATABASE_POOL_SIZE,
    config.DATABASE_PREPARED_STATEMENTS === "true",
    (host) => log.warn({ host }, "another host of the database is written to from now on"),
  )
  opened.defer(() => sql.end())
  let isStopping = false
  // The way to the database takes as long as the making.
  const [, { app, tokens, lastUse, watchers, metrics }] = await Promise.all([
    prepareSchema(sql, url, options),
    assemble(options, secrets, sql, () => isStopping),
  ])
  opened.defer(await tokens.followRevocations())
  opened.defer(lastUse.start())
  opened.defer(watchers.follow(log))
  opened.defer(startExpiry(deletionsOf(sql), log))
  opened.defer(await outbox(config, sql, log))
  const scraped = metrics?.serve(config.HOST, config.METRICS_PORT ?? 0)
  opened.defer(() => scraped?.stop(true))
  const server = listen(app, config, log)

  const resources = opened.move()
  const drain = () => {
    isStopping = true
    watchers.drain()
  }
  return {
    url: String(server.url).replace(/\/$/, ""),
    metricsUrl: scraped && String(new URL("/metrics", scraped.url)),
    databaseEnded: embedded?.exited ?? new Promise<never>(() => {}),
    drain,
    async stop() {
      drain()
      const patience = config.SHUTDOWN_TIMEOUT_SECONDS * 1_000
      const answered = betweenRequests(server).then(() => server.stop())
      if (!(await isOverWithin(patience * (1 - CLOSING_SHARE), answered))) {
        log.warn({ requests: server.pendingRequests }, "out of time: requests were cut off")
        server.stop(true)
      }
      if (!(await isOverWithin(patience * CLOSING_SHARE, resources.disposeAsync())))
        log.warn("out of time: the database was left to close by itself")
    },
  }
}
