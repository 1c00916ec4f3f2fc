/** Writes the rows of a verified backup into its tables, in one transaction. */
import type { Readable, Writable } from "node:stream"
import postgres from "postgres"
import { type Progress, readArchive } from "./archive.ts"
import type { Transaction } from "./connection.ts"
import { BackupError, damaged } from "./format/damage.ts"
import type { Manifest } from "./manifest.ts"
import { copyIn, countRows } from "./queries.ts"

/** `columnsOf`: the names of a table's columns in the database; none if its rows are left out. */
type Source = { manifest: Manifest; open(): Readable; columnsOf(table: string): string[] }

/** Whether an earlier statement of the transaction failed. */
const isAborted = (error: unknown) =>
  error instanceof postgres.PostgresError && error.code === "25P02"

/** Starts COPY into a table. Every step rejects if the database refuses or goes away. */
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
     * Does not wait for the stream to finish: postgres.js reports no error that comes after the last
     * row, and would wait for ever. The next statement tells whether COPY succeeded.
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
  { manifest, open, columnsOf }: Source,
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
        const columns = columnsOf(table)
        if (columns.length > 0) copy = await openCopy(sql, table, columns)
      }
      await copy?.write(block)
    },
  })
  await endCopy()
}
