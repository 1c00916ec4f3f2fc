/** `todo-api rotate-key`: replaces the generated secret key. */
import { ConfigError, readConfig } from "../config/config.ts"
import { rotateGeneratedKey } from "../keys.ts"
import { print } from "./command.ts"

const CONFIGURED = `rotate-key changes the generated key of the embedded database, and this secret is configured.
To change it so that nobody is logged out, deploy three times, each time to all instances:
1. SECRET_KEY_PREVIOUS=NEW beside SECRET_KEY=OLD: what the new one signs is accepted everywhere.
2. SECRET_KEY=NEW, SECRET_KEY_PREVIOUS=OLD: the new one signs.
3. Without SECRET_KEY_PREVIOUS, when all that the old one signed has expired.`

export const rotateKey = async (env: NodeJS.ProcessEnv): Promise<number> => {
  const { DATABASE_URL, SECRET_KEY, DATA_DIR } = readConfig(env, false)
  if (DATABASE_URL !== undefined || SECRET_KEY !== undefined) throw new ConfigError(CONFIGURED)
  if (!rotateGeneratedKey(DATA_DIR))
    throw new ConfigError(`DATA_DIR: ${DATA_DIR} has no generated key; the first start makes one`)
  return print(
    `${DATA_DIR} has a new secret_key. Restart the service: from then on the new one signs, and\n` +
      "what the old one signed stays valid, by secret_key.previous. Delete that file and restart\n" +
      "when it has expired, or at once if the old key has leaked, which logs everybody out.\n",
  )
}
