/** Writes one consistent snapshot of the database into a stream. */
import type { Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { constants, createZstdCompress } from "node:zlib"
import { abortable, openConnection } from "../database/driver.ts"
import { codeOf } from "../database/errors.ts"
import { hiddenTables } from "../database/migrations/rights.ts"
import { schemaState } from "../database/migrations/state.ts"
import { version } from "../version.ts"
import { writeArchive } from "./archive.ts"
import { BackupError, FORMAT } from "./manifest.ts"
import type { Progress } from "./progress.ts"
import * as queries from "./queries.ts"
import { COLUMNS_LEFT_OUT, SEQUENCES, TABLES } from "./tables.ts"
import { createTrailer } from "./trailer.ts"

type Options = {
  /** The current key and the previous ones. Empty if the backup is not to contain them. */
  secretKeys: readonly string[]
  output: Writable
  signal: AbortSignal
  onProgress: Progress
}

const appliedMigrations = async (sql: queries.Transaction) => {
  const { applied, unknown } = await schemaState(sql)
  if (applied.length === 0) throw new BackupError("The database is empty: there is nothing to keep")
  if (unknown.length > 0)
    throw new BackupError(
      `The database has migrations that this version does not know: ${unknown.join(", ")}. ` +
        "Use the todo-api that serves it.",
    )
  return applied
}

/** Rows that row level security hides would be missing from the backup, and nobody would know. */
const refuseHidden = async (sql: queries.Transaction) => {
  const tables = await hiddenTables(sql)
  if (tables.length > 0)
    throw new BackupError(
      `Row level security hides rows of ${tables.join(", ")} from this role: back up as the owner, ` +
        "or as a role that db/README.md describes.",
    )
}

/** The columns of every table that a restore writes. */
export const columnsToKeep = async (sql: queries.Transaction) =>
  Object.fromEntries(
    (await queries.columnsOf(sql, TABLES)).map(({ table, columns }) => [
      table,
      columns.filter((column) => !Object.hasOwn(COLUMNS_LEFT_OUT, `${table}.${column}`)),
    ]),
  )

const writeSnapshot = async (
  snapshot: queries.Transaction,
  { secretKeys, output, signal, onProgress }: Options,
) => {
  await queries.useKnownSettings(snapshot)
  await refuseHidden(snapshot)
  const header = {
    format: FORMAT,
    version: version(),
    postgres: await queries.serverVersion(snapshot),
    created_at: new Date().toISOString(),
    migrations: await appliedMigrations(snapshot),
    columns: await columnsToKeep(snapshot),
    has_secret_key: secretKeys.length > 0,
  } as const
  await pipeline(
    writeArchive({
      header,
      secretKeys,
      rowsOf: (table) => queries.copyOut(snapshot, table, header.columns[table] ?? []),
      sequences: () => queries.nextNumbers(snapshot, SEQUENCES),
      onProgress,
    }),
    createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    createTrailer(),
    output,
    { signal },
  )
}

export const writeBackup = async (url: string, options: Options) => {
  const sql = openConnection(url)
  // Leaving a COPY half-way ends the connection, so that the transaction fails with another error.
  let failure: unknown
  try {
    await abortable(sql, options.signal, () =>
      sql.begin("isolation level repeatable read read only", (snapshot) =>
        writeSnapshot(snapshot, options).catch((error: unknown) => {
          // Of the output, not of the database's connection, into which nothing is written meanwhile.
          failure =
            codeOf(error) === "EPIPE" ? new BackupError("The backup's reader has left") : error
          throw error
        }),
      ),
    )
  } catch (error) {
    throw failure ?? error
  } finally {
    await sql.end()
  }
}
