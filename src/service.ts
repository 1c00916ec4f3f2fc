/** Starts and stops the service: database, migrations, background jobs, server. */
import { endDeletions } from "./accounts/deletion.ts"
import { createPasswordReset } from "./accounts/password-reset.ts"
import { createTokens } from "./accounts/tokens/authenticate.ts"
import { createApp } from "./app.ts"
import type { Config } from "./config/config.ts"
import { connect } from "./database/connect.ts"
import { startExpiry } from "./database/expiry.ts"
import { createReadiness, prepareSchema } from "./database/schema.ts"
import type { Sql } from "./database/sql.ts"
import { close, expectFreePorts, listen } from "./http/server.ts"
import { noteKeyUse, type Secrets, secretKeys } from "./keys.ts"
import type { Log } from "./log.ts"
import { createLostCommits } from "./todos/changes/epoch.ts"
import { deleteExpiredTombstones } from "./todos/changes/queries.ts"
import { createWatchers } from "./todos/changes/watchers.ts"
import { deleteTodosOf } from "./todos/erase.ts"
import { deleteExpiredKeys } from "./todos/idempotency.ts"
import { createTurns } from "./todos/revisions.ts"
import { forgetExpired } from "./todos/trash.ts"
import { build } from "./version.ts"

type Options = { config: Config; log: Log; migrate: boolean; allowNewerSchema: boolean }

/** Creates the app and what it depends on. What not every service needs is loaded when it is. */
const assemble = async (
  { config, log }: Options,
  secrets: Secrets,
  sql: Sql,
  isStopping: () => boolean,
) => {
  const tokens = createTokens(config, secrets, { sql, log })
  const watchers = createWatchers(sql)
  const metrics =
    config.METRICS_PORT === undefined
      ? undefined
      : (await import("./http/metrics.ts")).createMetrics({
          build: build(),
          pool: sql.state,
          requests: () => app.server?.pendingRequests ?? 0,
          streams: watchers.count,
          mails: async () => (await import("./accounts/mail.ts")).countMails(sql),
        })
  const isReady = createReadiness(sql, log)
  const app = createApp({
    config,
    secrets,
    sql,
    tokens,
    watchers,
    log,
    metrics,
    isReady: async () => !isStopping() && (await isReady()),
    isStopping,
  })
  return { app, tokens, watchers, metrics }
}

/** Loaded only if the service sends mails. */
const outbox = async ({ SMTP_URL, SMTP_FROM, PASSWORD_RESET_URL }: Config, sql: Sql, log: Log) => {
  if (!SMTP_URL || !SMTP_FROM) return () => {}
  const { createSmtp, startOutbox } = await import("./accounts/mail.ts")
  return startOutbox({
    sql,
    log,
    send: createSmtp(SMTP_URL, SMTP_FROM),
    createPasswordReset: (email) => createPasswordReset(sql, email),
    passwordResetUrl: PASSWORD_RESET_URL,
  })
}

/** Resolves to false if the work takes longer. */
const isOverWithin = (ms: number, work: Promise<unknown>): Promise<boolean> =>
  Promise.race([work.then(() => true), Bun.sleep(Math.max(0, ms)).then(() => false)])

/** The part of the time for shutting down that is kept for closing the database. */
const CLOSING_SHARE = 0.2

export const startService = async (options: Options) => {
  const { config, log } = options
  // Everything that was opened is closed in reverse order: if the start fails, and at the end.
  await using opened = new AsyncDisposableStack()
  await expectFreePorts(config)
  const embedded = config.DATABASE_URL
    ? undefined
    : await (await import("./database/embedded/start.ts")).startEmbedded(
        config.DATA_DIR,
        config.DATABASE_POOL_SIZE,
      )
  opened.defer(() => embedded?.stop())
  const url = config.DATABASE_URL ?? embedded?.url ?? ""
  noteKeyUse(config)
  const secrets = secretKeys(config)
  const sql = connect(url, config.DATABASE_POOL_SIZE, {
    prepare: config.DATABASE_PREPARED_STATEMENTS === "true",
    log,
    onLossyPromotion: (name) => lostCommits.after(name),
  })
  const lostCommits = createLostCommits(sql, log)
  opened.defer(() => sql.end())
  let isStopping = false
  // In parallel, because both take about the same time.
  const [, { app, tokens, watchers, metrics }] = await Promise.all([
    prepareSchema(sql, url, {
      ...options,
      dataDir: config.DATA_DIR,
      waitSeconds: config.DATABASE_WAIT_SECONDS,
    }),
    assemble(options, secrets, sql, () => isStopping),
  ])
  opened.defer(tokens.lastUses.flush)
  await using working = new AsyncDisposableStack()
  // Stopped last: a mail that is being sent takes as long as the mail server likes.
  working.defer(await outbox(config, sql, log))
  working.defer(await tokens.pollRevocations())
  working.defer(tokens.lastUses.start())
  working.defer(watchers.start(log))
  working.defer(lostCommits.stop)
  const expiries = [
    deleteExpiredKeys,
    forgetExpired(config.TRASH_DAYS),
    deleteExpiredTombstones,
    endDeletions(deleteTodosOf({ sql, turns: createTurns() })),
  ]
  working.defer(startExpiry(sql, expiries, log))
  const scraped = metrics?.serve(config.HOST, config.METRICS_PORT ?? 0)
  opened.defer(() => scraped?.stop(true))
  const server = listen(app, config, log)

  const work = working.move()
  const resources = opened.move()
  const drain = () => {
    isStopping = true
    watchers.drain()
  }
  return {
    /** The URL that it listens on. */
    url: String(server.url).replace(/\/$/, ""),
    metricsUrl: scraped && String(new URL("/metrics", scraped.url)),
    /** Resolves when the embedded database has ended. */
    databaseEnded: embedded?.exited ?? new Promise<never>(() => {}),
    /** Makes the readiness probe fail, and each response close its connection. */
    drain,
    /**
     * Accepts no new connections, answers the requests that have begun, and closes the database. What is
     * not done in time (by default SHUTDOWN_TIMEOUT_SECONDS) is left to end with the process.
     */
    async stop(patience = config.SHUTDOWN_TIMEOUT_SECONDS * 1_000) {
      drain()
      const inTime = (ended: Promise<unknown>) =>
        isOverWithin(patience * (1 - CLOSING_SHARE), ended)
      const [isClosed, isAtRest] = await Promise.all([
        inTime(close(server)),
        inTime(work.disposeAsync()),
      ])
      if (!isClosed) {
        log.warn({ requests: server.pendingRequests }, "out of time: requests were cut off")
        server.stop(true)
      }
      if (!isAtRest) log.warn("out of time: a background job was cut off")
      if (!(await isOverWithin(patience * CLOSING_SHARE, resources.disposeAsync())))
        log.warn("out of time: the database was left to close by itself")
    },
  }
}
