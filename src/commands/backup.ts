/** `todo-api backup [FILE|-]`: writes all data into one file, even while the service runs. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Writable } from "node:stream"
import { createStandardOutput, writeWhole } from "../backup/file.ts"
import { BackupError } from "../backup/format/damage.ts"
import { createProgress } from "../backup/progress.ts"
import { writeBackup } from "../backup/write.ts"
import { type Config, readConfig } from "../config/config.ts"
import { openEmbedded } from "../database/embedded/open.ts"
import { writableUrl } from "../database/hosts/failover.ts"
import { secretKeys } from "../keys/secret-keys.ts"
import { interruptible } from "./interruption.ts"

/** Does not create a database just to back it up. */
const openDatabase = async ({ DATABASE_URL, DATA_DIR }: Config) => {
  if (DATABASE_URL) return { url: await writableUrl(DATABASE_URL), stop: async () => {} }
  if (!existsSync(join(DATA_DIR, "postgres")))
    throw new BackupError(`There is no database in ${DATA_DIR}, and DATABASE_URL is not set`)
  return openEmbedded(DATA_DIR)
}

export const backup = async (env: NodeJS.ProcessEnv, file: string, withSecret: boolean) => {
  const config = readConfig(env, withSecret)
  const { onProgress, done } = createProgress(process.stderr, "backup")
  await interruptible(async (signal) => {
    const database = await openDatabase(config)
    const write = (output: Writable) =>
      writeBackup(database.url, {
        secretKeys: withSecret ? secretKeys(config) : [],
        output,
        signal,
        onProgress,
      })
    try {
      if (file === "-") await write(createStandardOutput())
      else await writeWhole(file, write)
    } finally {
      await database.stop()
    }
  })
  done()
  return 0
}
