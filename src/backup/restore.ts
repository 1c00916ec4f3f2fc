/** Restores a backup into an empty database, completely or not at all. */
import type postgres from "postgres"
import { migrate } from "../database/migrations/migrate.ts"
import {
  JOINING,
  migrationFiles,
  schemaState,
  stateOf,
  versionOf,
} from "../database/migrations/state.ts"
import { type Progress, readArchive } from "./archive.ts"
import { connectForBackup, inTransaction, type Transaction } from "./connection.ts"
import { BackupError } from "./format/damage.ts"
import { load } from "./load.ts"
import type { Header } from "./manifest.ts"
import {
  addColumnGone,
  addMissingUsers,
  analyze,
  countTodos,
  dropColumnGone,
  lockTables,
  renewEpoch,
  setNextNumber,
  tablesWithRows,
  useKnownSettings,
  withoutIndexes,
} from "./queries.ts"
import { COLUMNS_RENAMED, TABLES, TABLES_GONE } from "./tables.ts"
import { openSealed } from "./trailer.ts"
import { columnsToKeep } from "./write.ts"

/**
 * Sequences are set this far beyond the backup. Ids that were drawn after the backup are still known to
 * tokens and to clients' copies, and must not be drawn again.
 */
const IDS_LEFT_OUT = 1_000_000

/** Throws if the backup is of a newer version, or of one that is too old. */
const refuseForeign = ({ migrations, version }: Header) => {
  const { unknown } = stateOf(migrations, migrationFiles(), "The backup")
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

/** Reads the whole backup. Throws if it is damaged. */
export const verifyBackup = async (path: string, signal: AbortSignal) => {
  const open = await openSealed(path)
  const found = await readArchive(open(), {
    onHeader: async (header) => refuseForeign(header),
    onBlock: async () => signal.throwIfAborted(),
  })
  return { ...found, open }
}
export type Verified = Awaited<ReturnType<typeof verifyBackup>>

/**
 * Migrates the empty database up or down to the schema of the backup: to that of JOINING, if the backup is
 * from before.
 */
const useSchema = async (
  sql: postgres.Sql,
  url: string,
  { migrations }: Header,
  dataDir: string,
) => {
  const isWanted = (version: string) => version <= JOINING || migrations.includes(version)
  const files = Object.fromEntries(
    Object.entries(migrationFiles()).filter(([file]) => isWanted(versionOf(file))),
  )
  for (;;) {
    const { applied, unknown } = await schemaState(sql)
    if (unknown.length > 0)
      throw new BackupError(`The database is of a newer version: it has ${unknown.join(", ")}`)
    if (applied.every(isWanted)) break
    await migrate(url, "down", { dataDir })
  }
  await migrate(url, "up", { dataDir, files })
}

const isFromBeforeJoining = ({ migrations }: Header) => !migrations.includes(JOINING)

/** The columns in the database for those of the backup, in its order. */
const namesToday = (table: string, columns: string[]) =>
  TABLES_GONE.includes(table)
    ? []
    : columns.map((column) => COLUMNS_RENAMED[`${table}.${column}`] ?? column)

const refuseOtherColumns = async (sql: Transaction, header: Header) => {
  const own = await columnsToKeep(sql)
  const isKnown = isFromBeforeJoining(header)
    ? Object.entries(header.columns).every(([table, columns]) =>
        namesToday(table, columns).every((column) => own[table]?.includes(column)),
      )
    : Bun.deepEquals(own, header.columns)
  if (!isKnown)
    throw new BackupError(
      "The database's tables are not those of the backup. Nothing was restored.",
    )
}

export const restoreBackup = async (url: string, backup: Verified, options: Options) => {
  const { dataDir } = options
  const { manifest } = backup
  const tables = Object.keys(manifest.columns).filter((table) => !TABLES_GONE.includes(table))
  const sql = connectForBackup(url)
  try {
    await sql.begin(refuseRows)
    await useSchema(sql, url, manifest, dataDir)
    await inTransaction(sql, "", async (transaction) => {
      await useKnownSettings(transaction)
      const isOld = isFromBeforeJoining(manifest)
      if (isOld) await addColumnGone(transaction)
      await refuseOtherColumns(transaction, manifest)
      await lockTables(transaction, tables)
      await refuseRows(transaction)
      await withoutIndexes(transaction, tables, async () => {
        const columnsOf = (table: string) => namesToday(table, manifest.columns[table] ?? [])
        await load(transaction, { ...backup, columnsOf }, options)
        if (isOld) await countTodos(transaction)
        await addMissingUsers(transaction)
      })
      if (isOld) await dropColumnGone(transaction)
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
