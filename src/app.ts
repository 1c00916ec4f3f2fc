/** The table of contents: what the service is made of. Importing it opens nothing. */
import { Elysia } from "elysia"
import type { Logger } from "pino"
import { auth } from "./accounts/auth-routes.ts"
import { me } from "./accounts/routes.ts"
import type { Throttle } from "./accounts/throttle.ts"
import type { Tokens } from "./accounts/tokens.ts"
import type { Config } from "./config.ts"
import type { Sql } from "./database/connection.ts"
import { answerError } from "./http/answer-error.ts"
import { docs } from "./http/docs.ts"
import { headers } from "./http/headers.ts"
import { health } from "./http/health.ts"
import type { Cursors } from "./todos/cursor.ts"
import { todos } from "./todos/routes.ts"

export type Deps = {
  config: Config
  sql: Sql
  tokens: Tokens
  throttle: Throttle
  cursors: Cursors
  log: Logger
  isReady: () => Promise<boolean>
}

export const createApp = (deps: Deps) => {
  const app = new Elysia({
    // Unknown members are refused, not removed.
    normalize: false,
    strictPath: true,
    // A Host of under four characters would cut the path wrongly.
    handler: { standardHostname: false },
  })
  return app
    .onError(answerError(deps.log, () => app.routes))
    .use(headers)
    .use(health(deps.isReady))
    .group("/api/v1", (api) => api.use(auth(deps)).use(me(deps)).use(todos(deps)))
    .use(docs())
}
