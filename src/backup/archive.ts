/**
 * The format of a backup: a tar of COPY's text, compressed with zstd. It contains `header.json`, then
 * each table in files of whole rows (`todos/000001.copy`), and last `manifest.json` with counts and hashes.
 */
import { createHash } from "node:crypto"
import { pipeline, type Readable, Transform } from "node:stream"
import { isDeepStrictEqual } from "node:util"
import { createZstdDecompress } from "node:zlib"
import { BackupError, damaged } from "./format/damage.ts"
import {
  type Contents,
  HEADER,
  type Header,
  MANIFEST,
  type Manifest,
  readHeader,
  readManifest,
  SECRET_KEY,
} from "./manifest.ts"
import { END_OF_ARCHIVE, memberOf, readTar } from "./tar.ts"

/** Bytes of rows in each file of the archive. */
const BLOCK = 1024 * 1024
const NEWLINE = 10

const json = (value: unknown) => Buffer.from(`${JSON.stringify(value, null, 2)}\n`)

/** COPY's text has a newline at the end of each row, and nowhere else. */
const countRows = (block: Buffer) => {
  let rows = 0
  for (let at = block.indexOf(NEWLINE); at !== -1; at = block.indexOf(NEWLINE, at + 1)) rows++
  return rows
}

/** Counts and hashes the rows of a table. */
const createTally = () => {
  const hash = createHash("sha256")
  const tally = {
    rows: 0,
    bytes: 0,
    add(block: Buffer) {
      hash.update(block)
      tally.rows += countRows(block)
      tally.bytes += block.length
    },
    total: (): Contents => ({
      rows: tally.rows,
      bytes: tally.bytes,
      sha256: hash.digest("hex"),
    }),
  }
  return tally
}

/** Collects rows into blocks, so that the later steps run once a block instead of once a row. */
const createCollector = () => {
  let rows: Buffer[] = []
  let size = 0
  const collected = () => {
    const block = Buffer.concat(rows)
    rows = []
    size = 0
    return block
  }
  return new Transform({
    transform(row: Buffer, _encoding, done) {
      rows.push(row)
      size += row.length
      if (size < BLOCK) done()
      else done(null, collected())
    },
    flush(done) {
      if (size === 0) done()
      else done(null, collected())
    },
  })
}

export type Progress = (rows: number, bytes: number) => void

type Source = {
  header: Header
  secretKeys: readonly string[]
  rowsOf(table: string): Promise<Readable>
  /** Called when all tables have been read. */
  sequences(): Promise<Manifest["sequences"]>
  onProgress: Progress
}

async function* blocksOf(source: Source, table: string) {
  const rows = await source.rowsOf(table)
  // Errors end the collector too, and are thrown to its reader.
  yield* pipeline(rows, createCollector(), () => {}) as AsyncIterable<Buffer>
  // postgres.js pauses its connection when the stream is full, and does not resume it at the end.
  rows._read(0)
}

export async function* writeArchive(source: Source): AsyncGenerator<Buffer> {
  yield memberOf(HEADER, json(source.header))
  if (source.header.has_secret_key)
    yield memberOf(SECRET_KEY, Buffer.from(source.secretKeys.join("\n")))
  const tables: Manifest["tables"] = {}
  const all = { rows: 0, bytes: 0 }
  for (const table of Object.keys(source.header.columns)) {
    const tally = createTally()
    let files = 0
    for await (const block of blocksOf(source, table)) {
      tally.add(block)
      yield memberOf(`${table}/${String(++files).padStart(6, "0")}.copy`, block)
      source.onProgress(all.rows + tally.rows, all.bytes + tally.bytes)
    }
    const total = tally.total()
    tables[table] = total
    all.rows += total.rows
    all.bytes += total.bytes
  }
  const manifest: Manifest = { ...source.header, tables, sequences: await source.sequences() }
  yield memberOf(MANIFEST, json(manifest))
  yield END_OF_ARCHIVE
}

async function* decompressed(file: Readable): AsyncGenerator<Buffer> {
  try {
    yield* pipeline(file, createZstdDecompress(), () => {}) as AsyncIterable<Buffer>
  } catch (error) {
    if (error instanceof Error && "syscall" in error) throw error
    throw damaged("it cannot be decompressed")
  }
}

type Sink = {
  /** Called before any row is read. */
  onHeader(header: Header): Promise<void>
  onBlock(table: string, block: Buffer): Promise<void>
}

/** Reads an archive to its end. Throws if it is not complete. */
export const readArchive = async (file: Readable, { onHeader, onBlock }: Sink) => {
  const members = readTar(decompressed(file))
  const { value: first } = await members.next()
  if (first?.name !== HEADER) throw new BackupError("This is no backup of todo-api")
  const header = readHeader(first.content)
  await onHeader(header)
  const tallies = new Map(Object.keys(header.columns).map((table) => [table, createTally()]))
  let secretKeys: string[] = []
  let manifest: Manifest | undefined
  for await (const { name, content } of members) {
    if (manifest) throw damaged(`${name} comes after ${MANIFEST}`)
    if (name === SECRET_KEY) secretKeys = content.toString().split("\n")
    else if (name === MANIFEST) manifest = readManifest(content)
    else {
      const table = /^([a-z_]+)\/\d+\.copy$/.exec(name)?.[1] ?? ""
      const tally = tallies.get(table)
      if (!tally) throw damaged(`nobody knows ${name}`)
      tally.add(content)
      await onBlock(table, content)
    }
  }
  if (!manifest) throw damaged(`${MANIFEST} is missing`)
  const { tables, sequences, ...repeated } = manifest
  if (!isDeepStrictEqual(repeated, header)) throw damaged(`${HEADER} and ${MANIFEST} differ`)
  const counted = Object.fromEntries([...tallies].map(([table, tally]) => [table, tally.total()]))
  for (const [table, contents] of Object.entries(counted))
    if (!isDeepStrictEqual(tables[table], contents)) throw damaged(`rows of ${table} differ`)
  if (header.has_secret_key !== secretKeys.length > 0) throw damaged("its key is missing")
  return { manifest, secretKeys }
}
