/** `todo-api licenses`: prints the notices. The build embeds them; from source they are collected anew. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dir, "..", "..")

export const licenses = async (): Promise<string> => {
  if (Bun.isStandaloneExecutable)
    return String(
      Bun.zstdDecompressSync(readFileSync(join(import.meta.dir, "programs", "notices"))),
    )
  const { notices } = await import("../licenses/notices.ts")
  return notices(root, join(root, "src", "licenses", "texts"))
}
