/** Packs the files of a program into one: a list with their hashes, then each file compressed. */
import type { ProgramFile } from "../src/programs/files.ts"
import { END_OF_LIST, type Entry } from "../src/programs/program.ts"

const LEVEL = 19

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
