/** Packs the files of a program into one: a list with their hashes, then each file compressed. */
import type { ProgramFile } from "./files.ts"

type Entry = Pick<ProgramFile, "path" | "isExecutable" | "sha256"> & { packedSize: number }

const LEVEL = 19
const END_OF_LIST = "\n"

export const pack = async (files: ProgramFile[]): Promise<Blob> => {
  const packed = await Promise.all(
    files.map(async (file) => Bun.zstdCompress(await file.read(), { level: LEVEL })),
  )
  const list = files.map(
    ({ path, isExecutable, sha256 }, index): Entry => ({
      path,
      isExecutable,
      sha256,
      packedSize: packed[index]?.length ?? 0,
    }),
  )
  return new Blob([JSON.stringify(list), END_OF_LIST, ...packed])
}

export const openArchive = (archive: Uint8Array): ProgramFile[] => {
  const end = archive.indexOf(END_OF_LIST.charCodeAt(0))
  const list = JSON.parse(new TextDecoder().decode(archive.subarray(0, end))) as Entry[]
  let next = end + END_OF_LIST.length
  return list.map(({ packedSize, ...file }) => {
    const start = next
    next += packedSize
    return { ...file, read: () => Bun.zstdDecompress(archive.subarray(start, start + packedSize)) }
  })
}
