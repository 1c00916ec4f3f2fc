/** The first and the last file of a backup: a header that says what follows, and a manifest with counts. */
import { type Static, Type } from "@sinclair/typebox"
import { Value } from "@sinclair/typebox/value"

export const FORMAT = 1

/** The error of a backup that cannot be made or restored, for the person at the terminal. */
export class BackupError extends Error {
  override name = "BackupError"
}

export const damaged = (what: string) =>
  new BackupError(`The backup is damaged or incomplete: ${what}. Nothing was restored.`)

const name = Type.String({ pattern: "^[a-z_]{1,63}$" })

const header = Type.Object({
  format: Type.Literal(FORMAT),
  version: Type.String(),
  postgres: Type.String(),
  created_at: Type.String(),
  /** The migrations that were applied: the version of the schema. */
  migrations: Type.Array(Type.String({ pattern: "^\\d+$" }), { minItems: 1 }),
  /** The columns of each table, in the order of its files. */
  columns: Type.Record(name, Type.Array(name, { minItems: 1 })),
  has_secret_key: Type.Boolean(),
})

export type Header = Static<typeof header>
/** `sha256`: of the table's files, concatenated. */
export type Contents = { rows: number; bytes: number; sha256: string }
export type Manifest = Header & {
  tables: { [table: string]: Contents }
  /** The next number of each sequence. */
  sequences: { [name: string]: string }
}

export const HEADER = "header.json"
export const MANIFEST = "manifest.json"
export const SECRET_KEY = "secret_key"

export const readHeader = (content: Buffer): Header => {
  const value = JSON.parse(content.toString())
  if (value?.format > FORMAT)
    throw new BackupError("The backup is of a newer version of todo-api: restore it with that one")
  if (!Value.Check(header, value)) throw damaged(`${HEADER} breaks its schema`)
  return value
}
