/** One service for all tests of a file: `const { app, sql, account } = await shareApp()`. */
import { afterAll } from "bun:test"
import { connect } from "../../src/database/connection.ts"
import { insertAccount } from "./accounts.ts"
import { startApp } from "./app.ts"

/** `sql`: to its database, with the limits of the service's own statements. */
export const shareApp = async (settings: Record<string, string> = {}) => {
  const app = await startApp(settings)
  const sql = connect(app.databaseUrl, 3)
  afterAll(async () => {
    await sql.end()
    await app[Symbol.asyncDispose]()
  })
  return { app, sql, account: () => insertAccount(app, sql) }
}
