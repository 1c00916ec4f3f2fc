/** Opens the embedded database for a command: of the running service, or started for the command. */
import postgres from "postgres"
import { connectionOptions } from "../../config/database-url.ts"
import { type Embedded, startEmbedded } from "./start.ts"
import { embeddedUrl } from "./url.ts"

type Opened = Pick<Embedded, "url" | "stop">

const answers = async (url: string) => {
  const sql = postgres({ ...connectionOptions(url), max: 1, fetch_types: false })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end()
  }
}

/** Undefined if no service runs on this DATA_DIR. */
const openRunning = async (dataDir: string): Promise<Opened | undefined> => {
  const url = embeddedUrl(dataDir)
  return url !== undefined && (await answers(url)) ? { url, stop: async () => {} } : undefined
}

export const openEmbedded = async (dataDir: string): Promise<Opened> =>
  (await openRunning(dataDir)) ?? startEmbedded(dataDir)
