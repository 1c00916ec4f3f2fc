/** `todo-api openapi`: prints the document of /openapi.json, without a database. */
import { createTokens } from "../accounts/tokens/authenticate.ts"
import { createApp } from "../app.ts"
import { readConfig } from "../config/config.ts"
import { connect } from "../database/connect.ts"
import { createLog } from "../log.ts"
import { createWatchers } from "../todos/changes/watchers.ts"

/** For what can be asked without a database. */
export const createOfflineApp = () => {
  const config = readConfig({}, false)
  const log = createLog("silent")
  // Would connect with its first query, but there is none.
  const sql = connect("postgres://localhost", 1)
  const secrets = [crypto.randomUUID()] as const
  return createApp({
    config,
    secrets,
    sql,
    tokens: createTokens(config, secrets, { sql, log }),
    watchers: createWatchers(sql),
    log,
    isReady: async () => false,
    isStopping: () => false,
  })
}

export const openapiDocument = async (): Promise<string> => {
  const response = await createOfflineApp().handle(new Request("http://localhost/openapi.json"))
  return response.text()
}
