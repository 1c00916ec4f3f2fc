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
  SECRET_KEY,
} from "./manifest.ts"
import type { Progress } from "./progress.ts"
import { END_OF_ARCHIVE, type Member, memberOf, readTar } from "./tar.ts"

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

const createTally = (onProgress: Progress) => {
  const hash = createHash("sha256")
  let [rows, bytes] = [0, 0]
  return {
    add(block: Buffer) {
      const added = countRows(block)
      hash.update(block)
      rows += added
      bytes += block.length
      onProgress(added, block.length)
    },
    total: (): Contents => ({ rows, bytes, sha256: hash.digest("hex") }),
  }
}

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
  const attributes = { mode: 0o600, modified: Math.floor(Date.now() / 1000) }
  yield memberOf(HEADER, json(source.header), attributes)
  if (source.header.has_secret_key)
    yield memberOf(SECRET_KEY, Buffer.from(source.secretKeys.join("\n")), attributes)
  const tables: Manifest["tables"] = {}
  for (const table of Object.keys(source.header.columns)) {
    const tally = createTally(source.onProgress)
    let files = 0
    for await (const block of blocksOf(await source.rowsOf(table))) {
      tally.add(block)
      yield memberOf(`${table}/${String(++files).padStart(6, "0")}.copy`, block, attributes)
    }
    tables[table] = tally.total()
  }
  const manifest: Manifest = { ...source.header, tables, sequences: await source.sequences() }
  yield memberOf(MANIFEST, json(manifest), attributes)
  yield END_OF_ARCHIVE
}

/** What comes before the rows, and what reads on from there. */
export type Archive = {
  header: Header
  secretKeys: string[]
  next(): Promise<Member | undefined>
}

export const openArchive = async (file: Readable): Promise<Archive> => {
  const members = readTar(pipeline(file, createZstdDecompress({ chunkSize: BLOCK }), () => {}))
  const next = async () => (await members.next()).value
  const first = await next()
  if (first?.name !== HEADER) throw new BackupError("This is no backup of todo-api")
  const header = readHeader(first.content)
  const secretKeys = header.has_secret_key
    ? ((await next())?.content.toString().split("\n") ?? [])
    : []
  return { header, secretKeys, next }
}

/** Hands over the rows of each table, and throws if they are not those that the manifest counts and hashes. */
export const readArchive = async (
  { header, next }: Archive,
  onTable: (table: string, rows: AsyncIterable<Buffer>) => Promise<void>,
  onProgress: Progress,
): Promise<Manifest> => {
  let member = await next()
  const tables: Manifest["tables"] = {}
  for (const table of Object.keys(header.columns)) {
    const tally = createTally(onProgress)
    const rows = async function* () {
      for (; member?.name.startsWith(`${table}/`); member = await next()) {
        tally.add(member.content)
        yield member.content
      }
    }
    await onTable(table, rows())
    tables[table] = tally.total()
  }
  if (member?.name !== MANIFEST) throw damaged(`${MANIFEST} is not behind the rows`)
  const manifest: Manifest = JSON.parse(member.content.toString())
  if (!isDeepStrictEqual(manifest, { ...header, tables, sequences: manifest.sequences }))
    throw damaged(`its rows are not those of ${MANIFEST}`)
  return manifest
}
