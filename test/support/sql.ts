/** A connection to a database of a test, which waits and runs for as long as the test likes. */
import postgres from "postgres"
import { connectionOptions } from "../../src/database/url.ts"

export const openSql = (url: string, max = 1) => {
  const sql = postgres({ ...connectionOptions(url), max, onnotice: () => {} })
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end() })
}
