/** Restores a backup into an empty database, completely or not at all. */
import type postgres from "postgres"
import { migrationFiles } from "../database/migrations/files.ts"
import { migrate, schemaState } from "../database/migrations/migrate.ts"
import { type Progress, readArchive } from "./archive.ts"
import { connectForBackup, inTransaction, type Transaction } from "./connection.ts"
import { BackupError } from "./format/damage.ts"
import { load } from "./load.ts"
import type { Header, Manifest } from "./manifest.ts"
import {
  addMissingUsers,
  analyze,
  lockTables,
  renewEpoch,
  setNextNumber,
  tablesWithRows,
  useKnownSettings,
  withoutIndexes,
  withoutTriggers,
} from "./queries.ts"
import { TABLES } from "./tables.ts"
import { openSealed } from "./trailer.ts"
import { columnsToKeep } from "./write.ts"

/**
 * Sequences are set this far beyond the backup. Ids that were drawn after the backup are still known to
 * tokens and to clients' copies, and must not be drawn again.
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

/** Reads the whole backup. Throws if it is damaged. */
export const verifyBackup = async (path: string, signal: AbortSignal) => {
  const open = await openSealed(path)
  const found = await readArchive(open(), {
    onHeader: async (header) => refuseUnknown(header),
    onBlock: async () => signal.throwIfAborted(),
  })
  return { ...found, open }
}
export type Verified = Awaited<ReturnType<typeof verifyBackup>>

/** Migrates the empty database up or down to the schema of the backup. */
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
        withoutIndexes(transaction, tables, async () => {
          await load(transaction, backup, options)
          await addMissingUsers(transaction)
        }),
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
