/** Puts a backup into an empty database: all of it or nothing. */
import type { Writable } from "node:stream"
import postgres from "postgres"
import { migrationFiles } from "../database/migrations/files.ts"
import { migrate, schemaState } from "../database/migrations/migrate.ts"
import { type Progress, readArchive } from "./archive.ts"
import { columnsToKeep } from "./backup.ts"
import { connectForBackup, inTransaction, type Transaction } from "./connection.ts"
import { BackupError, damaged } from "./damage.ts"
import type { Header, Manifest } from "./manifest.ts"
import {
  analyze,
  copyIn,
  countRows,
  lockTables,
  renewEpoch,
  setNextNumber,
  tablesWithRows,
  useKnownSettings,
  withoutIndexes,
  withoutTriggers,
} from "./queries.ts"
import { openSealed } from "./seal.ts"
import { TABLES } from "./tables.ts"

/**
 * How far the sequences are set on: an id that was given out after the backup, to a user whose
 * token is still good or to a client's copy, must not be given to somebody else.
 */
const IDS_LEFT_OUT = 1_000_000

const versionOf = (file: string) => file.slice(0, file.indexOf("_"))

const refuseUnknown = ({ migrations, version }: Header) => {
  const known = new Set(Object.keys(migrationFiles()).map(versionOf))
  const unknown = migrations.filter((migration) => !known.has(migration))
  if (unknown.length > 0)
    throw new BackupError(
      `The backup is of a newer version, todo-api ${version}: this one does not know its ` +
        `migrations ${unknown.join(", ")}. Nothing was restored.`,
    )
}

const refuseRows = async (sql: Transaction) => {
  const tables = await tablesWithRows(sql, TABLES)
  if (tables.length > 0)
    throw new BackupError(
      `The database is not empty: there are rows in ${tables.join(", ")}. Nothing was changed.`,
    )
}

type Options = { dataDir: string; signal: AbortSignal; onProgress: Progress }

/** A backup that was read to its end, and found whole. */
export const verifyBackup = async (path: string, signal: AbortSignal) => {
  const open = await openSealed(path)
  const found = await readArchive(open(), {
    onHeader: async (header) => refuseUnknown(header),
    onBlock: async () => signal.throwIfAborted(),
  })
  return { ...found, open }
}
export type Verified = Awaited<ReturnType<typeof verifyBackup>>

/** The schema that the backup was made of: an empty database can go back to it, too. */
const useSchema = async (
  sql: postgres.Sql,
  url: string,
  { migrations }: Header,
  dataDir: string,
) => {
  const files = Object.fromEntries(
    Object.entries(migrationFiles()).filter(([file]) => migrations.includes(versionOf(file))),
  )
  for (;;) {
    const { applied, unknown } = await schemaState(sql)
    if (unknown.length > 0)
      throw new BackupError(`The database is of a newer version: it has ${unknown.join(", ")}`)
    if (applied.every((migration) => migrations.includes(migration))) break
    await migrate(url, "down", { dataDir })
  }
  await migrate(url, "up", { dataDir, files })
}

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

const load = async (
  sql: Transaction,
  { manifest, open }: Verified,
  { signal, onProgress }: Options,
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

const refuseOtherColumns = async (sql: Transaction, { columns }: Manifest) => {
  const own = await columnsToKeep(sql)
  if (!Bun.deepEquals(own, columns))
    throw new BackupError(
      "The database's tables are not those of the backup. Nothing was restored.",
    )
}

export const restoreBackup = async (url: string, backup: Verified, options: Options) => {
  const { dataDir } = options
  const { manifest } = backup
  const tables = Object.keys(manifest.columns)
  const sql = connectForBackup(url)
  try {
    await sql.begin(refuseRows)
    await useSchema(sql, url, manifest, dataDir)
    await inTransaction(sql, "", async (transaction) => {
      await useKnownSettings(transaction)
      await refuseOtherColumns(transaction, manifest)
      await lockTables(transaction, tables)
      await refuseRows(transaction)
      await withoutTriggers(transaction, tables, () =>
        withoutIndexes(transaction, tables, () => load(transaction, backup, options)),
      )
      for (const [sequence, next] of Object.entries(manifest.sequences))
        await setNextNumber(transaction, sequence, next, IDS_LEFT_OUT)
      await renewEpoch(transaction)
    })
    await migrate(url, "up", { dataDir })
    await analyze(sql, tables)
  } finally {
    await sql.end()
  }
}
