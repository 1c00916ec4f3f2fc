/** Writes and reads tar archives in the ustar format of POSIX.1-1988. */

const BLOCK = 512
const SIZE_AT = 124
const CHECKSUM_AT = 148

export type Member = { name: string; content: Buffer }

const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, "0")}\0`

const paddingOf = (size: number) => -size & (BLOCK - 1)

type Attributes = { mode: number; modified: number }

export const memberOf = (name: string, content: Uint8Array, { mode, modified }: Attributes) => {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, 100)
  header.write(octal(mode, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(content.length, 12), SIZE_AT)
  header.write(octal(modified, 12), 136)
  // The checksum counts itself as spaces.
  header.write("        0", CHECKSUM_AT)
  header.write("ustar\x0000", 257)
  const checksum = header.reduce((sum, byte) => sum + byte, 0)
  header.write(`${octal(checksum, 7)} `, CHECKSUM_AT)
  return Buffer.concat([header, content, Buffer.alloc(paddingOf(content.length))])
}

export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/** Of a backup that was verified: it is whole and unchanged. */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<Member> {
  let unread = Buffer.alloc(0)
  for await (const chunk of source) {
    unread = Buffer.concat([unread, chunk])
    // A block of zeros ends the archive.
    while (unread.length >= BLOCK && unread[0] !== 0) {
      const size = Number.parseInt(unread.toString("latin1", SIZE_AT, SIZE_AT + 11), 8)
      const next = BLOCK + size + paddingOf(size)
      if (unread.length < next) break
      const name = unread.toString("utf8", 0, unread.indexOf(0))
      yield { name, content: unread.subarray(BLOCK, BLOCK + size) }
      unread = unread.subarray(next)
    }
  }
}
