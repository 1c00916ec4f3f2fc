/** The connection of a backup or a restore: one, without the limits of a request. */
import postgres from "postgres"
import { connectionOptions } from "../database/url.ts"

export type Transaction = postgres.TransactionSql

export const connectForBackup = (url: string) =>
  postgres({
    ...connectionOptions(url),
    max: 1,
    prepare: false,
    fetch_types: false,
    onnotice: () => {},
  })

/**
 * A transaction with COPY in it. Where it fails the connection is closed: in the middle of a COPY
 * it would wait for ever for the answer to a rollback.
 */
export const inTransaction = async (
  sql: postgres.Sql,
  kind: "" | "isolation level repeatable read read only",
  work: (transaction: Transaction) => Promise<void>,
) => {
  let failure: unknown
  try {
    await sql.begin(kind, async (transaction) => {
      try {
        await work(transaction)
      } catch (error) {
        failure = error
        await sql.end({ timeout: 0 })
        throw error
      }
    })
  } catch (error) {
    throw failure ?? error
  }
}
