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
  /** The version of todo-api. */
  version: Type.String(),
  postgres: Type.String(),
  created_at: Type.String(),
  /** The migrations that were applied: the version of the schema. */
  migrations: Type.Array(Type.String({ pattern: "^\\d+$" }), { minItems: 1 }),
  /** The columns of each table, in the order of its files. */
  columns: Type.Record(name, Type.Array(name, { minItems: 1 })),
  has_secret_key: Type.Boolean(),
})

const count = Type.Integer({ minimum: 0 })
const contents = Type.Object({
  rows: count,
  bytes: count,
  /** Of the table's files, concatenated. */
  sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
})

const manifest = Type.Composite([
  header,
  Type.Object({
    tables: Type.Record(name, contents),
    /** The next number of each sequence. */
    sequences: Type.Record(name, Type.String({ pattern: "^\\d{1,19}$" })),
  }),
])

export type Header = Static<typeof header>
export type Contents = Static<typeof contents>
export type Manifest = Static<typeof manifest>

export const HEADER = "header.json"
export const MANIFEST = "manifest.json"
export const SECRET_KEY = "secret_key"

const parse = (content: Buffer): unknown => {
  try {
    return JSON.parse(content.toString())
  } catch {
    throw damaged("a file in it is no JSON")
  }
}

const isNewer = (value: unknown) =>
  typeof value === "object" &&
  value !== null &&
  "format" in value &&
  typeof value.format === "number" &&
  value.format > FORMAT

export const readHeader = (content: Buffer): Header => {
  const value = parse(content)
  if (isNewer(value))
    throw new BackupError("The backup is of a newer version of todo-api: restore it with that one")
  if (!Value.Check(header, value)) throw damaged(`${HEADER} breaks its schema`)
  return value
}

export const readManifest = (content: Buffer): Manifest => {
  const value = parse(content)
  if (!Value.Check(manifest, value)) throw damaged(`${MANIFEST} breaks its schema`)
  return value
}
