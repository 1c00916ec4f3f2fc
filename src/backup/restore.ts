/** Restores a backup into an empty database, completely or not at all. */
import { Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import postgres from "postgres"
import { abortable, keepIdle, openConnection } from "../database/driver.ts"
import { migrate } from "../database/migrations/migrate.ts"
import { JOINING, migrationFiles, stateOf, versionOf } from "../database/migrations/state.ts"
import { type Archive, openArchive, readArchive } from "./archive.ts"
import { BackupError, type Header } from "./manifest.ts"
import type { Progress } from "./progress.ts"
import * as queries from "./queries.ts"
import { COLUMNS_RENAMED, TABLES, TABLES_DROPPED } from "./tables.ts"
import { openVerified } from "./trailer.ts"
import { columnsToKeep } from "./write.ts"

/**
 * Sequences are set this far beyond the backup. Ids that were drawn after the backup are still known to
 * tokens and to clients' replicas, and must not be drawn again.
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

const refuseRows = async (sql: queries.Transaction) => {
  const tables = await queries.tablesWithRows(sql, TABLES)
  if (tables.length > 0)
    throw new BackupError(
      `The database is not empty: there are rows in ${tables.join(", ")}. Nothing was changed.`,
    )
}

/** Verifies the SHA-256 of the whole file, and reads what comes before the rows. */
export const openBackup = async (path: string, signal: AbortSignal): Promise<Archive> => {
  const archive = await openArchive(await openVerified(path, signal))
  refuseForeign(archive.header)
  return archive
}

/**
 * Migrates the empty database up or down to the schema of the backup: to that of JOINING, if the backup is
 * from before.
 */
const useSchema = async (url: string, { migrations }: Header, dataDir: string) => {
  const isWanted = (version: string) => version <= JOINING || migrations.includes(version)
  const files = Object.fromEntries(
    Object.entries(migrationFiles()).filter(([file]) => isWanted(versionOf(file))),
  )
  for (;;) {
    const { applied, unknown } = await migrate(url, "status")
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
  TABLES_DROPPED.includes(table)
    ? []
    : columns.map((column) => COLUMNS_RENAMED[`${table}.${column}`] ?? column)

const refuseOtherColumns = async (sql: queries.Transaction, header: Header) => {
  const own = await columnsToKeep(sql)
  const isKnown = Object.entries(header.columns).every(([table, columns]) =>
    namesToday(table, columns).every((column) => own[table]?.includes(column)),
  )
  if (!isKnown)
    throw new BackupError("The database's tables lack columns of the backup. Nothing was restored.")
}

const nowhere = () => new Writable({ write: (_block, _encoding, done) => done() })

type Options = { dataDir: string; signal: AbortSignal; onProgress: Progress }

/** Loads the rows, and throws if they are not those that the manifest, at the end, counts and hashes. */
const load = (sql: queries.Transaction, archive: Archive, { signal, onProgress }: Options) => {
  const loadTable = async (table: string, rows: AsyncIterable<Buffer>) => {
    const columns = namesToday(table, archive.header.columns[table] ?? [])
    const output = columns.length > 0 ? await queries.copyIn(sql, table, columns) : nowhere()
    await pipeline(rows, output, { signal }).catch((error: unknown) => {
      if (!(error instanceof postgres.PostgresError)) throw error
      throw new BackupError(
        `The database refuses the rows of ${table}: ${error.message}. Nothing was restored.`,
      )
    })
  }
  return readArchive(archive, loadTable, onProgress)
}

export const restoreBackup = async (url: string, archive: Archive, options: Options) => {
  const { header } = archive
  const { dataDir, signal } = options
  const tables = Object.keys(header.columns).filter((table) => !TABLES_DROPPED.includes(table))
  const isOld = isFromBeforeJoining(header)
  const sql = openConnection(url)
  try {
    await keepIdle(sql)
    await abortable(sql, signal, () => sql.begin(refuseRows))
    await useSchema(url, header, dataDir)
    await sql.begin("isolation level read committed", async (transaction) => {
      await queries.useKnownSettings(transaction)
      if (isOld) await queries.addDroppedColumn(transaction)
      await refuseOtherColumns(transaction, header)
      await abortable(sql, signal, () => queries.lockTables(transaction, tables))
      await refuseRows(transaction)
      const { sequences } = await queries.withoutIndexes(transaction, tables, async () => {
        const manifest = await load(transaction, archive, options)
        if (isOld) await queries.countTodos(transaction)
        await queries.addMissingUsers(transaction)
        return manifest
      })
      if (isOld) await queries.dropColumnAgain(transaction)
      for (const [sequence, next] of Object.entries(sequences))
        await queries.setNextNumber(transaction, sequence, next, IDS_LEFT_OUT)
      await queries.renewEpoch(transaction)
    })
    await migrate(url, "up", { dataDir })
    await queries.analyze(sql, tables)
  } finally {
    await sql.end()
  }
}
