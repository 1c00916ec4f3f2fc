/** A connection to a database of a test, which waits and runs for as long as the test likes. */
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"

/** A bigint is a number, as for the service. */
const types = { id: { to: 20, from: [20], serialize: String, parse: Number } }

export const openSql = (url: string, max = 1) => {
  const sql = postgres({ ...connectionOptions(url), max, types, onnotice: () => {} })
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end() })
}

export type TestSql = ReturnType<typeof openSql>
