/** Connects for a backup or a restore: a single connection, without time limits. */
import type postgres from "postgres"
import { openConnection } from "../database/driver.ts"

export type Transaction = postgres.TransactionSql

export const connectForBackup = (url: string) => openConnection(url)

/**
 * Runs a transaction with COPY in it. If it fails, the connection is closed, because in the middle of a
 * COPY the answer to a rollback would never come.
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
