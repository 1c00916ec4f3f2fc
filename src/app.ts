/** The table of contents: what the service is made of. Importing it opens nothing. */
import { Elysia } from "elysia"
import { me } from "./accounts/routes.ts"
import { auth } from "./accounts/sessions/routes.ts"
import type { Throttle } from "./accounts/throttle/throttle.ts"
import type { Tokens } from "./accounts/tokens/tokens.ts"
import type { Config } from "./config.ts"
import type { Sql } from "./database/connection.ts"
import { answerError } from "./http/answer-error.ts"
import { cors } from "./http/cors.ts"
import { docs } from "./http/docs/routes.ts"
import { headers } from "./http/headers.ts"
import { health } from "./http/health.ts"
import { leaveUnread } from "./http/json-body.ts"
import type { Metrics } from "./http/metrics.ts"
import { createObserver } from "./http/request-log.ts"
import type { Log } from "./log.ts"
import type { Cursors } from "./todos/lists/cursor.ts"
import { todos } from "./todos/routes.ts"

export type Deps = {
  config: Config
  sql: Sql
  tokens: Tokens
  throttle: Throttle
  cursors: Cursors
  log: Log
  metrics?: Metrics | undefined
  isReady: () => Promise<boolean>
  isStopping: () => boolean
}

export const createApp = (deps: Deps) => {
  const { config, log, metrics } = deps
  const { hooks, observe } = createObserver(log, metrics, deps.isStopping)
  const app = new Elysia({
    // Unknown members are refused, not removed.
    normalize: false,
    strictPath: true,
    // A Host of under four characters would cut the path wrongly.
    handler: { standardHostname: false },
  })
  return app
    .onError(answerError({ log, metrics, observe, routes: () => app.routes }))
    .onParse(leaveUnread)
    .use(hooks)
    .use(headers)
    .use(cors(config.CORS_ORIGINS))
    .use(health(deps.isReady))
    .group("/api/v1", (api) => api.use(auth(deps)).use(me(deps)).use(todos(deps)))
    .use(docs(() => app.routes))
}
