/** The service for tests: on a database of its own, spoken to over real HTTP. */
import { readConfig } from "../../src/config/config.ts"
import { createLog } from "../../src/log.ts"
import { startService } from "../../src/service.ts"
import { createClient } from "./client.ts"
import { binary, startCommand } from "./command.ts"
import { createDatabase } from "./postgres.ts"
import { SECRET_KEY } from "./tokens.ts"

type Settings = Record<string, string>

const startBinary = async (env: Settings) => {
  const { url, metricsUrl, kill, exited } = await startCommand(env)
  const stop = async () => {
    kill("SIGTERM")
    await exited
  }
  return { url, metricsUrl, stop }
}

/** TEST_LOG=debug shows the whole log. Without it a 500 shows the cause that was logged. */
const level = process.env["TEST_LOG"]

/** Where the log is silent: keeps what the last error was, with the statement's text if there was one. */
const createErrorLog = () => {
  let last = ""
  const error = ({ err }: { err?: Error & { query?: string } }) => {
    if (err) last = [err.stack ?? err.message, err.query].filter(Boolean).join("\n")
  }
  return { log: Object.assign(createLog("silent"), { error }), lastError: () => last }
}

const startFromSource = async (env: Settings) => {
  const { log, lastError } = level
    ? { log: createLog(level), lastError: () => "" }
    : createErrorLog()
  const config = readConfig(env)
  const service = await startService({ config, log, migrate: true, allowNewerSchema: false })
  return Object.assign(service, { lastError })
}

/** Of .ci/pgbouncer: the service then goes through a pooler that knows no prepared statements. */
const throughPooler = (databaseUrl: string): Settings => {
  const directory = process.env["TEST_POOLER_DIRECTORY"]
  if (directory === undefined) return { DATABASE_URL: databaseUrl }
  const url = new URL(databaseUrl)
  const pooled = new URL(process.env["TEST_DATABASE_URL"] ?? "").searchParams.get("host")
  if (url.searchParams.get("host") !== pooled) return { DATABASE_URL: databaseUrl }
  url.searchParams.set("host", directory)
  url.searchParams.set("port", "6432")
  return { DATABASE_URL: url.toString(), DATABASE_PREPARED_STATEMENTS: "false" }
}

/** Another instance on a database that exists already: `startApp({ DATABASE_URL: app.databaseUrl })`. */
export const startApp = async (settings: Settings = {}) => {
  const database = settings["DATABASE_URL"] ? undefined : await createDatabase()
  const databaseUrl = settings["DATABASE_URL"] ?? database?.url ?? ""
  const service = await (binary ? startBinary : startFromSource)({
    SECRET_KEY,
    PORT: "0",
    REGISTRATIONS_PER_HOUR: "1000000",
    ...settings,
    ...throughPooler(databaseUrl),
  })
  const lastError = "lastError" in service ? service.lastError : undefined
  return {
    ...createClient(service.url, lastError),
    url: service.url,
    metricsUrl: service.metricsUrl,
    databaseUrl,
    stop: () => service.stop(),
    async [Symbol.asyncDispose]() {
      await service.stop()
      await database?.drop()
    },
  }
}

export type App = Awaited<ReturnType<typeof startApp>>
