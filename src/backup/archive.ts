/**
 * The format of a backup: a tar of COPY's text, compressed with zstd. It contains `header.json`, then
 * each table in files of whole rows (`todos/000001.copy`), and last `manifest.json` with counts and hashes.
 */
import { createHash } from "node:crypto"
import { pipeline, type Readable } from "node:stream"
import { isDeepStrictEqual } from "node:util"
import { createZstdDecompress } from "node:zlib"
import {
  BackupError,
  type Contents,
  damaged,
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
  let [rows, bytes] = [0, 0]
  return {
    /** Returns the number of rows in the block. */
    add(block: Buffer) {
      const added = countRows(block)
      hash.update(block)
      rows += added
      bytes += block.length
      return added
    },
    total: (): Contents => ({ rows, bytes, sha256: hash.digest("hex") }),
  }
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

/** Collects rows into blocks, so that the later steps run once a block instead of once a row. */
async function* blocksOf(rows: Readable): AsyncGenerator<Buffer> {
  let block: Buffer[] = []
  let size = 0
  for await (const row of rows as AsyncIterable<Buffer>) {
    block.push(row)
    size += row.length
    if (size < BLOCK) continue
    yield Buffer.concat(block)
    block = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(block)
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
    for await (const block of blocksOf(await source.rowsOf(table))) {
      all.rows += tally.add(block)
      all.bytes += block.length
      yield memberOf(`${table}/${String(++files).padStart(6, "0")}.copy`, block)
      source.onProgress(all.rows, all.bytes)
    }
    tables[table] = tally.total()
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

/** What comes before the rows, and then the rest. */
const openArchive = async (file: Readable) => {
  const members = readTar(decompressed(file))
  const { value: first } = await members.next()
  if (first?.name !== HEADER) throw new BackupError("This is no backup of todo-api")
  const header = readHeader(first.content)
  const { value: second } = header.has_secret_key ? await members.next() : {}
  if (header.has_secret_key && second?.name !== SECRET_KEY) throw damaged("its key is missing")
  return { header, secretKeys: second?.content.toString().split("\n") ?? [], members }
}

/** Reads the beginning of an archive. */
export const readStart = async (file: Readable) => {
  try {
    const { header, secretKeys } = await openArchive(file)
    return { header, secretKeys }
  } finally {
    file.destroy()
  }
}

/** Reads an archive to its end. Throws there if it is not complete: what was read must then be undone. */
export const readArchive = async (
  file: Readable,
  onBlock: (table: string, block: Buffer) => Promise<void>,
  onProgress: Progress,
): Promise<Manifest> => {
  const { header, members } = await openArchive(file)
  const tallies = new Map(Object.keys(header.columns).map((table) => [table, createTally()]))
  const all = { rows: 0, bytes: 0 }
  let manifest: Manifest | undefined
  for await (const { name, content } of members) {
    if (manifest) throw damaged(`${name} comes after ${MANIFEST}`)
    if (name === MANIFEST) {
      manifest = readManifest(content)
      continue
    }
    const table = /^([a-z_]+)\/\d+\.copy$/.exec(name)?.[1] ?? ""
    const tally = tallies.get(table)
    if (!tally) throw damaged(`unknown file ${name}`)
    all.rows += tally.add(content)
    all.bytes += content.length
    await onBlock(table, content)
    onProgress(all.rows, all.bytes)
  }
  if (!manifest) throw damaged(`${MANIFEST} is missing`)
  const { tables, sequences: _, ...repeated } = manifest
  if (!isDeepStrictEqual(repeated, header)) throw damaged(`${HEADER} and ${MANIFEST} differ`)
  for (const [table, tally] of tallies)
    if (!isDeepStrictEqual(tables[table], tally.total())) throw damaged(`rows of ${table} differ`)
  return manifest
}
