/** Reads the configuration from environment variables, and reports all problems at once. */
import { readFileSync } from "node:fs"
import { readDatabaseUrl } from "./database-url.ts"
import * as read from "./readers.ts"

/** An error that the operator has to mend before the service can start. Exit code 78. */
export class ConfigError extends Error {
  override name = "ConfigError"
}

const schema = {
  DATABASE_URL: readDatabaseUrl,
  DATABASE_POOL_SIZE: read.integer(10, 1, 1_000),
  DATABASE_WAIT_SECONDS: read.integer(30, 0, 3_600),
  DATABASE_PREPARED_STATEMENTS: read.oneOf("true", "true", "false"),
  DATA_DIR: read.text("./data"),
  SECRET_KEY: read.text(undefined),
  SECRET_KEY_PREVIOUS: read.text(undefined),
  ALGORITHM: read.oneOf("HS256", "HS256", "HS384", "HS512"),
  ACCESS_TOKEN_EXPIRE_MINUTES: read.integer(30, 1, 525_600),
  REFRESH_TOKEN_EXPIRE_DAYS: read.integer(30, 1, 3_650),
  SESSION_MAX_DAYS: read.integer(365, 1, 3_650),
  REGISTRATION: read.oneOf("open", "open", "invite", "closed"),
  REGISTRATIONS_PER_HOUR: read.integer(20, 1, 1_000_000),
  SMTP_URL: read.smtpUrl,
  SMTP_FROM: read.sender,
  PASSWORD_RESET_URL: read.resetUrl,
  MAX_TODOS_PER_USER: read.integer(undefined, 1, 1_000_000_000),
  // No longer than deletions are remembered: of what is forgotten, replicas could not learn that it is back.
  TRASH_DAYS: read.integer(30, 0, 90),
  REQUESTS_PER_MINUTE: read.integer(undefined, 1, 1_000_000),
  JWT_ISSUER: read.text(undefined),
  JWT_AUDIENCE: read.text(undefined),
  JWKS_URL: read.url("https:", "http:"),
  HOST: read.host,
  PORT: read.integer(8000, 0, read.LARGEST_PORT),
  REUSE_PORT: read.oneOf("false", "true", "false"),
  METRICS_PORT: read.metricsPort,
  CORS_ORIGINS: read.list(read.origin),
  TRUSTED_PROXIES: read.list(read.network),
  LOG_LEVEL: read.oneOf("info", "trace", "debug", "info", "warn", "error", "fatal", "silent"),
  SHUTDOWN_TIMEOUT_SECONDS: read.integer(10, 1, 3_600),
}

export type Config = { [Name in keyof typeof schema]: ReturnType<(typeof schema)[Name]> }

/** Bytes. RFC 7518, section 3.2: a key must be at least as long as the hash. */
const SECRET_KEY_BYTES = { HS256: 32, HS384: 48, HS512: 64 }

/** Looks at what is set, not at what could be read, so that no wrong value hides another problem. */
const contradictions = (env: read.Env, config: Config, needsSecretKey: boolean): string[] => {
  const { DATABASE_URL, SECRET_KEY, SECRET_KEY_PREVIOUS, JWT_ISSUER, JWKS_URL, JWT_AUDIENCE } = env
  // If ALGORITHM itself is wrong, the one with the shortest keys.
  const { ALGORITHM = "HS256" } = config
  const bytes = SECRET_KEY_BYTES[ALGORITHM]
  const problems: string[] = []
  if (needsSecretKey && DATABASE_URL && !SECRET_KEY)
    problems.push("SECRET_KEY is required with DATABASE_URL: all instances must share it")
  for (const [name, secret] of Object.entries({ SECRET_KEY, SECRET_KEY_PREVIOUS }))
    if (secret && Buffer.byteLength(secret) < bytes)
      problems.push(`${name} must have at least ${bytes} bytes for ${ALGORITHM}`)
  if (!JWT_ISSUER !== !JWKS_URL) problems.push("JWT_ISSUER and JWKS_URL must be set together")
  if (env["SMTP_URL"] && !env["SMTP_FROM"]) problems.push("SMTP_FROM is required with SMTP_URL")
  if (config.METRICS_PORT && config.METRICS_PORT === config.PORT)
    problems.push("METRICS_PORT and PORT must differ")
  if (JWT_AUDIENCE && !JWT_ISSUER) problems.push("JWT_AUDIENCE needs JWT_ISSUER")
  return problems
}

/** Secrets may also lie in files, as Docker, systemd and Kubernetes give them. */
const FROM_FILES = ["DATABASE_URL", "SECRET_KEY", "SECRET_KEY_PREVIOUS", "SMTP_URL"]

const readFiles = (env: read.Env, problems: string[]): read.Env => {
  const whole = { ...env }
  for (const name of FROM_FILES) {
    const file = env[`${name}_FILE`]
    if (!file) continue
    if (env[name]) problems.push(`${name}_FILE and ${name} are both set: unset one of them`)
    try {
      whole[name] = readFileSync(file, "utf8").replace(/\r?\n$/, "")
      if (whole[name] === "") problems.push(`${name}_FILE is empty`)
    } catch {
      problems.push(`${name}_FILE cannot be read`)
    }
  }
  return whole
}

/** An empty variable counts as unset. Throws a ConfigError that names every problem. */
export const readConfig = (given: read.Env, needsSecretKey = true): Config => {
  const problems: string[] = []
  const env = readFiles(given, problems)
  const readOne = ([name, reader]: [string, read.Reader<unknown>]) => {
    try {
      return [name, reader(env[name] || undefined, env)]
    } catch (error) {
      problems.push(`${name} ${error instanceof RangeError ? error.message : "cannot be read"}`)
      return [name, undefined]
    }
  }
  const config = Object.fromEntries(Object.entries(schema).map(readOne)) as Config
  problems.push(...contradictions(env, config, needsSecretKey))
  if (problems.length > 0) throw new ConfigError(problems.join("\n"))
  return config
}
