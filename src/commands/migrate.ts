/** `todo-api migrate up|down|status`: changes the schema of the database, or prints its state. */
import { readConfig } from "../config/config.ts"
import { startEmbedded } from "../database/embedded/start.ts"
import { migrate } from "../database/migrations/migrate.ts"
import { print } from "./command.ts"

export const runMigrate = async (
  env: NodeJS.ProcessEnv,
  command: "up" | "down" | "status",
): Promise<number> => {
  const { DATABASE_URL, DATA_DIR } = readConfig(env, false)
  const embedded = DATABASE_URL ? undefined : await startEmbedded(DATA_DIR)
  try {
    const { changed, ...state } = await migrate(DATABASE_URL ?? embedded?.url ?? "", command, {
      dataDir: DATA_DIR,
    })
    const lines = [
      ...changed.map((version) => `${command === "down" ? "rolled back" : "applied"} ${version}`),
      ...Object.entries(state).map(
        ([name, value]) => `${name}: ${[value].flat().join(" ") || "none"}`,
      ),
    ]
    return print(lines.map((line) => `${line}\n`).join(""))
  } finally {
    await embedded?.stop()
  }
}
