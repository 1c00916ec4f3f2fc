/**
 * The end of a backup: a SHA-256 of everything before it, in a frame that zstd's readers skip. It reveals
 * any changed bit and any missing end of the file.
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { Transform } from "node:stream"
import { pipeline } from "node:stream/promises"
import { damaged } from "./manifest.ts"

const HASH_BYTES = 32
/** RFC 8878, section 3.1.2: a magic number and a length, both little-endian. */
const SKIPPABLE_FRAME = Buffer.from([0x50, 0x2a, 0x4d, 0x18, HASH_BYTES, 0, 0, 0])
const TRAILER_BYTES = SKIPPABLE_FRAME.length + HASH_BYTES

export const createTrailer = () => {
  const hash = createHash("sha256")
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
    flush(done) {
      done(null, Buffer.concat([SKIPPABLE_FRAME, hash.digest()]))
    },
  })
}

const trailerAt = async (path: string) => {
  await using file = await open(path)
  const { size } = await file.stat()
  const start = size - TRAILER_BYTES
  const trailer = Buffer.alloc(TRAILER_BYTES)
  if (start > 0) await file.read(trailer, 0, TRAILER_BYTES, start)
  if (!trailer.subarray(0, SKIPPABLE_FRAME.length).equals(SKIPPABLE_FRAME))
    throw damaged("it is no backup of todo-api, or its end is missing")
  return { start, hash: trailer.subarray(SKIPPABLE_FRAME.length) }
}

/** Verifies the trailer, and opens a stream of the content before it. */
export const openVerified = async (path: string, signal: AbortSignal) => {
  const { start, hash: expected } = await trailerAt(path)
  const open = () => createReadStream(path, { end: start - 1 })
  const hash = createHash("sha256")
  await pipeline(open(), hash, { signal })
  if (!hash.read().equals(expected)) throw damaged("its SHA-256 is wrong")
  return open()
}
