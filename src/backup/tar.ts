/** Writes and reads tar archives in the ustar format of POSIX.1-1988. */
import { damaged } from "./manifest.ts"

const BLOCK = 512
const NAME_LENGTH = 100
const SIZE_AT = 124
const CHECKSUM_AT = 148
const CHECKSUM_LENGTH = 8
/** Bytes. A member is read into memory, and a damaged size must not exhaust it. */
const SIZE_LIMIT = 64 * 1024 * 1024

export type Member = { name: string; content: Buffer }

const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, "0")}\0`

/** The sum of a header's bytes, with spaces in the place of the checksum. */
const checksumOf = (header: Buffer) => {
  let sum = CHECKSUM_LENGTH * 0x20
  for (const [index, byte] of header.entries())
    if (index < CHECKSUM_AT || index >= CHECKSUM_AT + CHECKSUM_LENGTH) sum += byte
  return sum
}

const headerOf = (name: string, size: number) => {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, NAME_LENGTH)
  header.write(octal(0o600, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(size, 12), SIZE_AT)
  header.write(octal(Math.floor(Date.now() / 1000), 12), 136)
  header.write("0", 156)
  header.write("ustar\x0000", 257)
  header.write(`${octal(checksumOf(header), 7)} `, CHECKSUM_AT)
  return header
}

const paddingOf = (size: number) => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)

export const memberOf = (name: string, content: Uint8Array) =>
  Buffer.concat([headerOf(name, content.length), content, paddingOf(content.length)])

export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** Returns a function that takes a number of bytes from a stream. */
const createTake = (source: AsyncIterable<Buffer>) => {
  const chunks = source[Symbol.asyncIterator]()
  let unread: Buffer[] = []
  let length = 0
  /** Fewer than `size` only if the stream ends. */
  return async (size: number): Promise<Buffer> => {
    while (length < size) {
      const { value, done } = await chunks.next()
      if (done) break
      unread.push(value)
      length += value.length
    }
    const bytes = Buffer.concat(unread)
    const rest = bytes.subarray(size)
    unread = rest.length > 0 ? [rest] : []
    length = rest.length
    return bytes.subarray(0, size)
  }
}

const nameIn = (header: Buffer) => header.toString("utf8", 0, header.subarray(0, 100).indexOf(0))
const numberIn = (header: Buffer, at: number, length: number) =>
  Number.parseInt(header.toString("latin1", at, at + length), 8)

export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<Member> {
  const take = createTake(source)
  for (;;) {
    const header = await take(BLOCK)
    if (header.length < BLOCK) throw damaged("it ends too early")
    if (header.equals(END_OF_ARCHIVE.subarray(BLOCK))) break
    if (numberIn(header, CHECKSUM_AT, CHECKSUM_LENGTH) !== checksumOf(header))
      throw damaged("a tar header has a wrong checksum")
    const size = numberIn(header, SIZE_AT, 12)
    if (!(size <= SIZE_LIMIT)) throw damaged("a file in it is too large")
    const content = await take(size)
    const padding = await take(paddingOf(size).length)
    if (content.length + padding.length < size + paddingOf(size).length)
      throw damaged("it ends too early")
    yield { name: nameIn(header), content }
  }
  // Reads to the end of the stream, where zstd has its checksum.
  const rest = await take(SIZE_LIMIT)
  if (!rest.equals(END_OF_ARCHIVE.subarray(BLOCK))) throw damaged("something follows its end")
}
