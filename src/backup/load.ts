/** Writes the rows of a verified backup into its tables, in one transaction. */
import type { Readable, Writable } from "node:stream"
import postgres from "postgres"
import type { Transaction } from "./connection.ts"
import { type Progress, readArchive } from "./format/archive.ts"
import { BackupError, damaged } from "./format/damage.ts"
import type { Manifest } from "./format/manifest.ts"
import { copyIn, countRows } from "./queries.ts"

type Source = { manifest: Manifest; open(): Readable }

/** An earlier statement of the transaction failed. */
const isAborted = (error: unknown) =>
  error instanceof postgres.PostgresError && error.code === "25P02"

/** COPY of one table. Every step rejects when the database refuses, or is gone. */
const openCopy = async (sql: Transaction, table: string, columns: string[]) => {
  const stream: Writable = await copyIn(sql, table, columns)
  const failed = new Promise<never>((_, reject) => stream.once("error", reject))
  failed.catch(() => {})
  return {
    table,
    write: (block: Buffer) =>
      Promise.race([
        failed,
        new Promise<void>((resolve) => {
          stream.write(block, () => resolve())
        }),
      ]),
    /**
     * postgres.js tells nobody of an error that comes after the last row, and would wait for ever
     * to finish: whether all went well is asked by the next statement.
     */
    async end() {
      stream.end()
      await new Promise(setImmediate)
      try {
        return await countRows(sql, table)
      } catch (error) {
        if (!isAborted(error)) throw error
        throw new BackupError(`The database refuses the rows of ${table}. Nothing was restored.`)
      }
    },
  }
}

export const load = async (
  sql: Transaction,
  { manifest, open }: Source,
  { signal, onProgress }: { signal: AbortSignal; onProgress: Progress },
) => {
  const total = { rows: 0, bytes: 0 }
  let copy: Awaited<ReturnType<typeof openCopy>> | undefined
  const endCopy = async () => {
    if (!copy) return
    const { rows = 0, bytes = 0 } = manifest.tables[copy.table] ?? {}
    if ((await copy.end()) !== rows) throw damaged(`rows of ${copy.table} are missing`)
    total.rows += rows
    total.bytes += bytes
    onProgress(total.rows, total.bytes)
    copy = undefined
  }
  await readArchive(open(), {
    onHeader: async () => {},
    async onBlock(table, block) {
      signal.throwIfAborted()
      if (copy?.table !== table) {
        await endCopy()
        copy = await openCopy(sql, table, manifest.columns[table] ?? [])
      }
      await copy.write(block)
    },
  })
  await endCopy()
}
