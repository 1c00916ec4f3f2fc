/** `todo-api restore FILE|-`: restores a backup into an empty database. */
import { createReadStream, statSync } from "node:fs"
import { withSpooled } from "../backup/file.ts"
import { BackupError } from "../backup/manifest.ts"
import { createProgress } from "../backup/progress.ts"
import { openBackup, restoreBackup } from "../backup/restore.ts"
import { type Config, readConfig } from "../config/config.ts"
import { adoptKeys, hasOtherKey } from "../keys.ts"
import { interruptible } from "./command.ts"
import { openDatabase } from "./open-database.ts"

const STANDARD_INPUT = 0

/** Whether the service keeps its key in DATA_DIR. */
const keepsKey = ({ DATABASE_URL, SECRET_KEY }: Config) => !DATABASE_URL && !SECRET_KEY

const restoreFile = async (path: string, config: Config, signal: AbortSignal) => {
  const { DATA_DIR } = config
  const { onProgress, done } = createProgress("restore")
  const opened = await openBackup(path, signal)
  const [current, ...previous] = opened.secretKeys
  if (current && keepsKey(config) && hasOtherKey(DATA_DIR, current))
    throw new BackupError(
      `The backup's signing key is not the one in ${DATA_DIR}/secret_key. Nothing was restored. ` +
        "Delete that file first, which ends the sessions of this service.",
    )
  {
    await using database = await openDatabase(config, true)
    await restoreBackup(database.url, opened, { dataDir: DATA_DIR, signal, onProgress })
    if (current && keepsKey(config)) adoptKeys(DATA_DIR, [current, ...previous])
  }
  done()
  if (current && !keepsKey(config))
    console.error(
      "The backup holds a signing key: the first line of its secret_key is for SECRET_KEY",
    )
}

export const restore = async (env: NodeJS.ProcessEnv, file: string) => {
  const config = readConfig(env, false)
  const isInput = file === "-"
  // A pipe can be read only once.
  const isPipe = isInput || statSync(file, { throwIfNoEntry: false })?.isFIFO()
  const open = () =>
    isInput ? createReadStream("", { fd: STANDARD_INPUT }) : createReadStream(file)
  await interruptible((signal) => {
    const restoreFrom = (path: string) => restoreFile(path, config, signal)
    return isPipe ? withSpooled(open, config.DATA_DIR, signal, restoreFrom) : restoreFrom(file)
  })
  return 0
}
