/** `todo-api openapi`: the document that /openapi.json serves, and needs no database for it. */
import { createTokens } from "../accounts/tokens.ts"
import { createApp } from "../app.ts"
import { readConfig } from "../config.ts"
import { connect } from "../database/connection.ts"
import { createLog } from "../http/log.ts"

export const openapiDocument = async (): Promise<string> => {
  const config = readConfig({}, false)
  const app = createApp({
    config,
    // Connects with its first query, and none is made.
    sql: connect("postgres://localhost", 1),
    tokens: createTokens(config, crypto.randomUUID()),
    log: createLog("silent"),
    isReady: async () => false,
  })
  const answer = await app.handle(new Request("http://localhost/openapi.json"))
  return answer.text()
}
