/** An instance as far as it verifies tokens: its statements are counted, and may be made to fail. */
import { createTokens } from "../../src/accounts/tokens/authenticate.ts"
import { readConfig } from "../../src/config/config.ts"
import { connect } from "../../src/database/connect.ts"
import { Problem } from "../../src/http/problem.ts"
import { createLog } from "../../src/log.ts"
import { SECRET_KEY } from "./tokens.ts"

export const startTokenInstance = (databaseUrl: string, settings: Record<string, string> = {}) => {
  const sql = connect(databaseUrl, 1)
  const state = { statements: 0, isAway: false }
  const counted: typeof sql = new Proxy(sql, {
    get: (target, name) => (name === "pipelined" ? counted : Reflect.get(target, name)),
    apply(target, self, args) {
      // An identifier or a list of values is none.
      if (Array.isArray(args[0]) && "raw" in args[0]) state.statements++
      if (state.isAway) throw new Error("The database is away")
      return Reflect.apply(target as never, self, args)
    },
  })
  const config = readConfig({ DATABASE_URL: databaseUrl, SECRET_KEY, ...settings })
  const log = createLog("silent")
  const tokens = createTokens(config, [SECRET_KEY], { sql: counted, log })
  return {
    state,
    tokens,
    /** Reads the revocations of other instances once. */
    poll: async () => (await tokens.pollRevocations())(),
    caller: (token: string) => tokens.authenticate(`Bearer ${token}`),
    async statementsFor(token: string, times = 1) {
      const before = state.statements
      for (let i = 0; i < times; i++)
        await tokens.authenticate(`Bearer ${token}`).catch((refusal: unknown) => {
          if (!(refusal instanceof Problem)) throw refusal
        })
      return state.statements - before
    },
    [Symbol.asyncDispose]: () => sql.end(),
  }
}
