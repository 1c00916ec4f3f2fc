/** Refuses data of another major version of Postgres, which could not open them. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ConfigError } from "../../config/config.ts"
import { clusterIn } from "./url.ts"

/** The version of the programs that come with the service. */
const OURS = "18"

const majorVersionIn = (dataDir: string) => {
  try {
    return readFileSync(join(clusterIn(dataDir), "PG_VERSION"), "utf8").trim()
  } catch {
    return undefined
  }
}

/** Has to be called before anything in the folder is changed. */
export const refuseOtherMajorVersion = (dataDir: string) => {
  const found = majorVersionIn(dataDir)
  if (found === undefined || found === OURS) return
  throw new ConfigError(
    `The data in ${dataDir} is of Postgres ${found}, and this todo-api brings Postgres ${OURS}. ` +
      `Nothing was touched. To bring the data over, begin with the todo-api that served it last:
  DATA_DIR='${dataDir}' OLD-todo-api backup --with-secret todo-api.backup
  mv '${dataDir}' '${dataDir}-postgres-${found}'
  DATA_DIR='${dataDir}' todo-api restore todo-api.backup`,
  )
}
