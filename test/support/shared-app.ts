/** One service for all tests of a file: `const { app, sql, account } = await shareApp()`. */
import { afterAll } from "bun:test"
import { insertAccount } from "./accounts.ts"
import { startApp } from "./app.ts"
import { openSql } from "./sql.ts"

export const shareApp = async (settings: Record<string, string> = {}) => {
  const app = await startApp(settings)
  const sql = openSql(app.databaseUrl, 8)
  afterAll(async () => {
    await sql.end()
    await app[Symbol.asyncDispose]()
  })
  return { app, sql, account: () => insertAccount(app, sql) }
}
