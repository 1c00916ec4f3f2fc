/** What the build puts into the single file for others: `todo-api licenses` and `todo-api client`. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { enclosed } from "../programs/program.ts"
import { print, refuseTerminal } from "./command.ts"

const root = join(import.meta.dir, "..", "..")

export const printLicenses = async () => {
  if (!Bun.isStandaloneExecutable)
    throw new Error(
      'the notices are collected by the build: "bun run build", then dist/todo-api licenses',
    )
  return print(await Bun.zstdDecompress(enclosed("notices")))
}

/** From source it is built: with a path that the build of the executable does not follow. */
const client = async (): Promise<Uint8Array> => {
  if (Bun.isStandaloneExecutable) return enclosed("client")
  const builder = join(root, ".ci", "build-client.ts")
  return (await import(builder)).clientTarball()
}

export const writeClient = async (argument: string) => {
  const file = argument || "-"
  refuseTerminal(file, "a package")
  const tarball = await client()
  if (file === "-") return print(tarball)
  writeFileSync(file, tarball)
  return 0
}
