/** The table of contents: every feature, and what it is given. */
import { Elysia } from "elysia"
import type { Accounts } from "./accounts/context.ts"
import { exportOfAccount } from "./accounts/export.ts"
import { me } from "./accounts/me.ts"
import { ownCredentials } from "./accounts/own-credentials.ts"
import { passwordReset } from "./accounts/password-reset.ts"
import { createHashing } from "./accounts/passwords.ts"
import { personalAccessTokens } from "./accounts/personal-access-tokens.ts"
import { createRateLimits } from "./accounts/rate-limits.ts"
import { registration } from "./accounts/registration.ts"
import { createSecurityLog } from "./accounts/security-log.ts"
import { login, logout } from "./accounts/sessions/login.ts"
import { ownSessions } from "./accounts/sessions/own-sessions.ts"
import { refresh } from "./accounts/sessions/refresh.ts"
import type { Tokens } from "./accounts/tokens/authenticate.ts"
import { createSessionTokens } from "./accounts/tokens/session-tokens.ts"
import { createFederatedUser } from "./accounts/users.ts"
import { createLimiter } from "./concurrency/limiter.ts"
import type { Config } from "./config/config.ts"
import { poolExhausted } from "./database/errors.ts"
import type { Sql } from "./database/sql.ts"
import { createClientOf } from "./http/client-address.ts"
import { cors } from "./http/cors.ts"
import { docs } from "./http/docs/routes.ts"
import { answerError, refuseMethods } from "./http/error-handler.ts"
import { health } from "./http/health.ts"
import { createLargeBodies } from "./http/json-body.ts"
import type { Metrics } from "./http/metrics.ts"
import { tooManyRequests } from "./http/problem.ts"
import { limitRequests } from "./http/request-limit.ts"
import { createRequestLog } from "./http/request-log.ts"
import { registerText } from "./http/schema.ts"
import { leaveQueryUnread } from "./http/validation.ts"
import type { Secrets } from "./keys.ts"
import type { Log } from "./log.ts"
import { createSyncTokens } from "./todos/changes/sync-token.ts"
import type { Watchers } from "./todos/changes/watchers.ts"
import { deleteTodosOf } from "./todos/erase.ts"
import { exportedLists } from "./todos/export.ts"
import { createCursors, createListTags } from "./todos/lists/cursor.ts"
import { createTurns } from "./todos/revisions.ts"
import { todos } from "./todos/routes.ts"

type Deps = {
  config: Config
  secrets: Secrets
  sql: Sql
  tokens: Tokens
  watchers: Watchers
  log: Log
  metrics?: Metrics | undefined
  isReady: () => Promise<boolean>
  isStopping: () => boolean
}

/** A database that has answered nothing for this long is frozen: a client must get a response within five seconds. */
const SILENCE_MS = 2_500

/** What reads many rows waits for its user's turn, so that other users do not feel it. */
const createReads = (poolSize: number, { state }: Sql) => ({
  /** Searches, and what may be large: whole lists, exports, more than 100 todos or changes. */
  slowReads: createLimiter<number>({
    // Two connections are left to what is short.
    total: Math.max(2, poolSize - 2),
    perKey: 2,
    queuePerKey: 100,
    waitMs: 5_000,
    isInVain: (since) => performance.now() - Math.max(since, state().answeredAt) > SILENCE_MS,
    refuse: (why) =>
      why === "vain"
        ? poolExhausted()
        : tooManyRequests("Too many slow requests at once; wait until some have ended", 1),
  }),
  /** Pages of todos or changes: as many as a browser opens connections. */
  shortReads: createLimiter<number>({
    perKey: 6,
    waitMs: 500,
    refuse: (why) => why,
  }),
})

const DAY_SECONDS = 24 * 60 * 60

export const createApp = (deps: Deps) => {
  const { config, secrets, sql, watchers, log, metrics } = deps
  registerText()
  const authenticate = limitRequests(deps.tokens.authenticate, config.REQUESTS_PER_MINUTE)
  const tokens = { ...deps.tokens, authenticate }
  const clientOf = createClientOf(config.TRUSTED_PROXIES)
  const turns = createTurns()
  const reads = createReads(config.DATABASE_POOL_SIZE, sql)
  const accounts: Accounts = {
    ...{ sql, tokens, clientOf },
    limits: createRateLimits(sql, config),
    hashing: createHashing(),
    sessionTokens: createSessionTokens(secrets, tokens),
    lifetimes: {
      refresh: config.REFRESH_TOKEN_EXPIRE_DAYS * DAY_SECONDS,
      access: tokens.expiresIn,
      session: config.SESSION_MAX_DAYS * DAY_SECONDS,
    },
    logEvent: createSecurityLog(log),
    hasMail: config.SMTP_URL !== undefined,
    registrationMode: config.REGISTRATION,
  }
  const { hooks, logRequest } = createRequestLog(log, metrics, deps.isStopping)
  const app = new Elysia({
    // Unknown members are refused, not removed.
    normalize: false,
    strictPath: true,
    // Otherwise a Host of fewer than four characters would make Elysia cut the path wrongly.
    handler: { standardHostname: false },
  })
  app
    .onError(
      answerError({
        ...{ log, metrics, logRequest },
        methodsOf: (path) => methodsOf(path),
        answeredAt: () => sql.state().answeredAt,
      }),
    )
    .onRequest(leaveQueryUnread)
    .decorate("largeBodies", createLargeBodies())
    .use(hooks)
    .use(cors(config.CORS_ORIGINS, log))
    .use(health(deps.isReady))
    .group("/api/v1", (api) =>
      api
        .use(registration(accounts))
        .use(login(accounts))
        .use(refresh(accounts))
        .use(passwordReset(accounts))
        .use(logout(accounts))
        .use(me({ ...accounts, deleteOwned: deleteTodosOf({ sql, turns }) }))
        .use(ownCredentials(accounts))
        .use(exportOfAccount({ ...accounts, ...reads, log, lists: exportedLists(sql) }))
        .use(personalAccessTokens(accounts))
        .use(ownSessions(accounts))
        .use(
          todos({
            ...{ sql, log, tokens, clientOf, turns, watchers, ...reads },
            createFederatedUser: (id) => createFederatedUser(sql, id),
            cursors: createCursors(secrets),
            tagOf: createListTags(secrets),
            syncTokens: createSyncTokens(secrets),
            maxTodos: config.MAX_TODOS_PER_USER,
            trashDays: config.TRASH_DAYS,
            onCommit: watchers.committed,
          }),
        ),
    )
    .use(docs(() => app.routes, clientOf))
  const methodsOf = refuseMethods(app)
  return app
}
