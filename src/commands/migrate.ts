/** `todo-api migrate up|down|status`: changes the schema of the database, or prints its state. */
import { readConfig } from "../config/config.ts"
import { migrate } from "../database/migrations/migrate.ts"
import { print } from "./command.ts"
import { openDatabase } from "./open-database.ts"

export const runMigrate = async (
  env: NodeJS.ProcessEnv,
  command: "up" | "down" | "status",
): Promise<number> => {
  const config = readConfig(env, false)
  await using database = await openDatabase(config, command === "up")
  const { changed, ...state } = await migrate(database.url, command, { dataDir: config.DATA_DIR })
  const lines = [
    ...changed.map((version) => `${command === "down" ? "rolled back" : "applied"} ${version}`),
    ...Object.entries(state).map(
      ([name, value]) => `${name}: ${[value].flat().join(" ") || "none"}`,
    ),
  ]
  return await print(lines.map((line) => `${line}\n`).join(""))
}
