/** The configuration: one schema of environment variables; every problem is reported at once. */
import { isIP } from "node:net"
import { ConfigError } from "../config-error.ts"
import { checkDatabaseUrl, parseFirstHost } from "../database/url.ts"
import { isAddress } from "../http/request/address.ts"

/** Reads one variable. Throws a message that never holds the value: it may be a secret. */
type Reader<T> = (value: string | undefined) => T

const fail = (message: string): never => {
  throw new RangeError(message)
}

const text =
  <T extends string | undefined>(fallback: T): Reader<string | T> =>
  (value) =>
    value ?? fallback

const integer =
  <T extends number | undefined>(fallback: T, min: number, max: number): Reader<number | T> =>
  (value) => {
    if (value === undefined) return fallback
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    return number >= min && number <= max
      ? number
      : fail(`must be a whole number from ${min} to ${max}`)
  }

const oneOf =
  <const T extends string>(fallback: NoInfer<T>, ...choices: T[]): Reader<T> =>
  (value) =>
    value === undefined
      ? fallback
      : (choices.find((choice) => choice === value) ?? fail(`must be one of ${choices.join(", ")}`))

const list =
  <T>(read: (item: string) => T): Reader<T[]> =>
  (value) =>
    (value ?? "")
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "")
      .map(read)

const url =
  (parse: (value: string) => URL, ...protocols: string[]): Reader<string | undefined> =>
  (value) => {
    if (value === undefined) return undefined
    try {
      if (protocols.includes(parse(value).protocol)) return value
    } catch {}
    return fail(`must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`)
  }

/** Reads what it names, too: a certificate authority that is missing is no database that is away. */
const databaseUrl: Reader<string | undefined> = (value) => {
  const checked = url(parseFirstHost, "postgres:", "postgresql:")(value)
  if (checked !== undefined) checkDatabaseUrl(checked)
  return checked
}

/** RFC 5322's `name-addr` or address, and nothing that could begin a second header. */
const sender: Reader<string | undefined> = (value) =>
  value === undefined || /^[^\p{Cc}<>]*<[^\s<>@]+@[^\s<>@]+>$|^[^\s<>@]+@[^\s<>@]+$/u.test(value)
    ? value
    : fail("must be an address such as todo@example.org or Todo <todo@example.org>")

const smtpUrl: Reader<string | undefined> = (value) => {
  const checked = url((text) => new URL(text), "smtp:", "smtps:")(value)
  return checked === undefined || new URL(checked).hostname !== "" ? checked : fail("names no host")
}

const resetUrl: Reader<string | undefined> = (value) => {
  const checked = url((text) => new URL(text), "https:", "http:")(value)
  return checked === undefined || checked.includes("{token}") ? checked : fail("must hold {token}")
}

const origin = (item: string) => {
  if (/^https?:\/\/[^/]+\/+$/.test(item))
    fail(
      "must be origins without a slash at the end: https://app.example, not https://app.example/",
    )
  return item === "*" ||
    (!item.includes("*") && URL.canParse(item) && new URL(item).origin === item)
    ? item
    : fail("must be * or origins such as https://app.example, separated by commas")
}

const host: Reader<string> = (value = "127.0.0.1") =>
  isIP(value) || /^[a-z\d][a-z\d_.-]*$/i.test(value)
    ? value
    : fail("must be an IP address or the name of a host")

const network = (item: string) => {
  const [address = "", prefix, ...rest] = item.split("/")
  const bits = prefix === undefined ? 0 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  return isAddress(address) && rest.length === 0 && bits <= (isIP(address) === 4 ? 32 : 128)
    ? item
    : fail("must be IP addresses or CIDR networks, separated by commas")
}

const schema = {
  DATABASE_URL: databaseUrl,
  DATABASE_POOL_SIZE: integer(10, 1, 1_000),
  DATABASE_WAIT_SECONDS: integer(30, 0, 3_600),
  DATABASE_PREPARED_STATEMENTS: oneOf("true", "true", "false"),
  DATA_DIR: text("./data"),
  SECRET_KEY: text(undefined),
  SECRET_KEY_PREVIOUS: text(undefined),
  ALGORITHM: oneOf("HS256", "HS256", "HS384", "HS512"),
  ACCESS_TOKEN_EXPIRE_MINUTES: integer(30, 1, 525_600),
  REFRESH_TOKEN_EXPIRE_DAYS: integer(30, 1, 3_650),
  SESSION_MAX_DAYS: integer(365, 1, 3_650),
  REGISTRATION: oneOf("open", "open", "invite", "closed"),
  REGISTRATIONS_PER_HOUR: integer(20, 1, 1_000_000),
  SMTP_URL: smtpUrl,
  SMTP_FROM: sender,
  PASSWORD_RESET_URL: resetUrl,
  MAX_TODOS_PER_USER: integer(undefined, 1, 1_000_000_000),
  REQUESTS_PER_MINUTE: integer(undefined, 1, 1_000_000),
  JWT_ISSUER: text(undefined),
  JWT_AUDIENCE: text(undefined),
  JWKS_URL: url((value) => new URL(value), "https:", "http:"),
  HOST: host,
  PORT: integer(8000, 0, 65_535),
  REUSE_PORT: oneOf("false", "true", "false"),
  METRICS_PORT: integer(undefined, 0, 65_535),
  CORS_ORIGINS: list(origin),
  TRUSTED_PROXIES: list(network),
  LOG_LEVEL: oneOf("info", "trace", "debug", "info", "warn", "error", "fatal", "silent"),
  SHUTDOWN_TIMEOUT_SECONDS: integer(10, 1, 3_600),
}

export type Config = { [Name in keyof typeof schema]: ReturnType<(typeof schema)[Name]> }

/** Bytes: RFC 7518, section 3.2 wants a key at least as long as the hash. */
const SECRET_KEY_BYTES = { HS256: 32, HS384: 48, HS512: 64 }

type Env = Record<string, string | undefined>

/** What is set counts here, not what could be read: a wrong value must not hide another problem. */
const contradictions = (env: Env, config: Config, needsSecretKey: boolean): string[] => {
  const { DATABASE_URL, SECRET_KEY, SECRET_KEY_PREVIOUS, JWT_ISSUER, JWKS_URL, JWT_AUDIENCE } = env
  // Where ALGORITHM itself is wrong, the one that takes the shortest.
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
  if (JWT_AUDIENCE && !JWT_ISSUER) problems.push("JWT_AUDIENCE needs JWT_ISSUER")
  return problems
}

/** An empty variable counts as unset. Throws a ConfigError that names every problem. */
export const readConfig = (env: Env, needsSecretKey = true): Config => {
  const problems: string[] = []
  const read = ([name, reader]: [string, Reader<unknown>]) => {
    try {
      return [name, reader(env[name] || undefined)]
    } catch (error) {
      problems.push(`${name} ${error instanceof RangeError ? error.message : "cannot be read"}`)
      return [name, undefined]
    }
  }
  const config = Object.fromEntries(Object.entries(schema).map(read)) as Config
  problems.push(...contradictions(env, config, needsSecretKey))
  if (problems.length > 0) throw new ConfigError(problems.join("\n"))
  return config
}
