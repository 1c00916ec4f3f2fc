/** `todo-api backup [FILE|-]`: writes all data into one file, even while the service runs. */
import type { Writable } from "node:stream"
import { writeWhole } from "../backup/file.ts"
import { createProgress } from "../backup/progress.ts"
import { writeBackup } from "../backup/write.ts"
import { readConfig } from "../config/config.ts"
import { secretKeys } from "../keys.ts"
import { createStandardOutput, type Flags, interruptible, refuseTerminal } from "./command.ts"
import { openDatabase } from "./open-database.ts"

export const backup = async (env: NodeJS.ProcessEnv, argument: string, flags: Flags) => {
  const file = argument || "-"
  const withSecret = flags["with-secret"] === true
  refuseTerminal(file, "a backup")
  const config = readConfig(env, withSecret)
  const { onProgress, done } = createProgress("backup")
  await interruptible(async (signal) => {
    await using database = await openDatabase(config)
    const write = (output: Writable) =>
      writeBackup(database.url, {
        secretKeys: withSecret ? secretKeys(config) : [],
        output,
        signal,
        onProgress,
      })
    if (file === "-") await write(createStandardOutput())
    else await writeWhole(file, write)
  })
  done()
  return 0
}
