/** The operator's commands against the database of a test. */
import { runCommand } from "./command.ts"
import { SECRET_KEY } from "./tokens.ts"

/** The one JSON value that a command over users prints. */
export const userCommand = async <Value>(
  databaseUrl: string,
  ...args: string[]
): Promise<Value> => {
  const env = { DATABASE_URL: databaseUrl, SECRET_KEY }
  const { code, out, err } = await runCommand(["user", ...args, "--json"], env)
  if (code !== 0) throw new Error(err)
  return JSON.parse(out)
}

export type OneTimeToken = { token: string; expires_at: string }
