/**
 * The one reading of DATABASE_URL: as libpq reads it, with its PG* variables for what the URL leaves out. What
 * this reads means the same to the driver, to dbmate and to all commands; anything else is refused.
 */
import { readFileSync, statSync } from "node:fs"
import { isIP } from "node:net"
import { userInfo } from "node:os"
import type { ConnectionOptions } from "node:tls"
import { type Env, fail, LARGEST_PORT, type Reader } from "./readers.ts"

/** libpq's parameters that count here; `search_path`, which is dbmate's, is a setting of the session. */
const KNOWN = [
  ...["host", "port", "user", "password", "dbname", "target_session_attrs"],
  ...["application_name", "options", "search_path", "sslmode", "sslrootcert", "sslcert", "sslkey"],
]

/** Values that ask for nothing else than what is done anyway. */
const HARMLESS: Record<string, RegExp> = {
  // Neon's own URL asks for it, and only libpq can do it.
  channel_binding: /^(disable|prefer|require)$/,
  // The service has limits of its own, which are shorter.
  connect_timeout: /^\d+$/,
  client_encoding: /^(auto|utf-?8)$/i,
  gssencmode: /^(disable|prefer)$/,
  sslnegotiation: /^postgres$/,
  ssl_min_protocol_version: /^TLSv1(\.[12])?$/i,
}

/** What libpq has a variable for, so that one that is set is not passed over in silence. */
const UNSUPPORTED = [
  ...["hostaddr", "load_balance_hosts", "passfile", "require_auth", "requirepeer", "service"],
  ...["sslcertmode", "sslcrl", "sslcrldir", "ssl_max_protocol_version"],
]

const IRREGULAR: Record<string, string> = {
  application_name: "PGAPPNAME",
  connect_timeout: "PGCONNECT_TIMEOUT",
  dbname: "PGDATABASE",
}
const variableOf = (name: string) =>
  IRREGULAR[name] ?? `PG${name.replaceAll("_", "").toUpperCase()}`

const TARGETS = ["any", "read-write", "primary"] as const
/** Which hosts are suitable: libpq's target_session_attrs. */
export type Target = (typeof TARGETS)[number]

const MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const
type Mode = (typeof MODES)[number]

const DEFAULT_PORT = "5432"

type Parameters = Record<string, string | undefined>

const RAW =
  "has a character in its user, password or database that must be written as " +
  "%2F (/), %3F (?), %23 (#), %40 (@) or %25 (%)"

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return fail(RAW)
  }
}

/** The hosts before the path and their ports, as libpq's lists of both. */
const readHosts = (list: string): Parameters => {
  const hosts = list.split(",").map((entry) => {
    const [, host = "", port = ""] =
      /^(\[[^\]]*\]|[^[\]:]*)(?::([^:]*))?$/.exec(entry) ??
      fail("must have an IPv6 address in brackets, such as [::1]:5432")
    return [decode(host.replace(/^\[|\]$/g, "")), port]
  })
  const ports = hosts.map(([, port]) => port).join(",")
  return {
    host: hosts.map(([host]) => host).join(","),
    port: /^,*$/.test(ports) ? "" : ports,
  }
}

const readQuery = (query: string): Parameters => {
  if (query.includes("+"))
    fail("has a raw + in its parameters: write %2B for a plus sign, %20 for a blank")
  if (query !== "" && !query.split("&").every((entry) => entry.includes("=")))
    fail("has a parameter without a value, or a raw ? (%3F)")
  // URLSearchParams reads broken escapes as they stand.
  decode(query)
  return Object.fromEntries(new URLSearchParams(query))
}

const SHAPE = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(#)?/s

/** What the URL says, by libpq's names. Parameters win, as in libpq. */
const readUrl = (url: string): Parameters => {
  const [, credentials = "", hosts = "", path = "", query = "", hash] =
    SHAPE.exec(url) ?? fail("must be a URL that starts with postgres:// or postgresql://")
  // After a raw / or # in the password its end looks like a path, and its user like a host.
  if (hash || `${hosts}${path}`.includes("@")) fail(RAW)
  const [user = "", ...password] = credentials.split(":")
  return {
    user: decode(user),
    password: decode(password.join(":")),
    dbname: decode(path),
    ...readHosts(hosts),
    ...readQuery(query),
  }
}

const NAMES = [...KNOWN, ...Object.keys(HARMLESS), ...UNSUPPORTED]

const read = (url: string, env: Env = {}): Parameters => {
  const said = readUrl(url)
  const variables = NAMES.map((name) => [name, env[variableOf(name)]] as const)
  // What is empty counts as left out.
  const given = [...variables, ...Object.entries(said)].filter(([, value]) => value)
  const all: Parameters = Object.fromEntries(given)
  for (const [name, value = ""] of Object.entries(all)) {
    if (value.includes("\0")) fail("must not hold the character U+0000")
    if (KNOWN.includes(name)) continue
    const shown = said[name] ? name : variableOf(name)
    if (name === "ssl") fail("must have sslmode=require in place of ssl")
    if (!HARMLESS[name]?.test(value)) fail(`must do without ${shown}, or this value of it`)
  }
  if (!all["host"]) fail("must name a host, or a socket's directory: ?host=/run/postgresql")
  const user = all["user"] ?? userInfo().username
  return { ...all, user, dbname: all["dbname"] ?? user }
}

/** In one form, from which all is read alike. */
const write = ({ user = "", password = "", dbname = "", ...others }: Parameters) => {
  const encode = encodeURIComponent
  const credentials = encode(user) + (password && `:${encode(password)}`)
  const parameters = Object.entries(others)
    .filter(([name, value]) => value && KNOWN.includes(name))
    .map(([name, value = ""]) => `${name}=${encode(value)}`)
  return `postgres://${credentials}@localhost/${encode(dbname)}?${parameters.join("&")}`
}

const isPort = (port: string) =>
  port === "" || (/^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= LARGEST_PORT)

/** One for each host. Of the ports there is one for all, or one for each. */
const split = ({ host = "", port = "", ...others }: Parameters): Parameters[] => {
  const [hosts, ports] = [host.split(","), port.split(",")]
  if (hosts.includes("")) fail("must name every host of its list")
  if (ports.length !== 1 && ports.length !== hosts.length)
    fail("must name one port, or as many ports as hosts")
  if (!ports.every(isPort)) fail("must have ports from 1 to 65535")
  return hosts.map((host, n) => ({
    ...others,
    host,
    port: (ports[n] ?? ports[0]) || DEFAULT_PORT,
  }))
}

/** A URL for each host, in their order. */
export const hostUrls = (url: string): string[] => split(read(url)).map(write)

/** Whether the connection stays on this machine. */
export const isLocal = (host: string) =>
  host.startsWith("/") ||
  host === "localhost" ||
  host === "::1" ||
  /^127\.\d+\.\d+\.\d+$/.test(host)

const choose = <Choice extends string>(
  parameters: Parameters,
  name: string,
  choices: readonly Choice[],
) => {
  const chosen = choices.find((choice) => choice === parameters[name])
  if (parameters[name] !== undefined && chosen === undefined)
    fail(`must have one of ${choices.join(", ")} as ${name} (${variableOf(name)})`)
  return chosen
}

/** Undefined if the URL names none. */
export const targetOf = (url: string): Target | undefined =>
  choose(read(url), "target_session_attrs", TARGETS)

/** The sslmode that holds. As in libpq, a "require" with an authority verifies it. */
const modeOf = (parameters: Parameters): Mode => {
  const { host = "", sslrootcert, sslcert, sslkey } = parameters
  const isSystem = sslrootcert === "system"
  const said = choose(parameters, "sslmode", MODES)
  // libpq's default is "prefer", but a connection within this machine needs no TLS.
  const mode = said ?? (isSystem ? "verify-full" : isLocal(host) ? "disable" : "prefer")
  if (isSystem && mode !== "verify-full")
    fail("must have sslmode=verify-full with sslrootcert=system")
  if (!sslcert !== !sslkey) fail("must have both sslcert and sslkey, or none")
  if (host.startsWith("/")) return "disable"
  if (sslcert && (mode === "prefer" || mode === "allow"))
    fail("must have sslmode=require or stricter with sslcert")
  return mode === "require" && sslrootcert !== undefined ? "verify-ca" : mode
}

const readPem = (name: string, file: string) => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return fail(`names a file as ${name} that cannot be read`)
  }
}

const readKey = (file: string) => {
  const key = readPem("sslkey", file)
  const { mode, uid } = statSync(file)
  // As libpq and dbmate: one of root's may be readable for its group.
  if (mode & (uid === 0 ? 0o037 : 0o077))
    fail("names an sslkey that is open to others: chmod 600 it")
  return key
}

const tlsOptions = (
  mode: Mode,
  { host = "", sslrootcert, sslcert, sslkey }: Parameters,
): false | "prefer" | "require" | ConnectionOptions => {
  if (mode === "disable") return false
  if (mode === "allow" || mode === "prefer") return "prefer"
  const isVerified = mode !== "require"
  if (!isVerified && !sslcert) return mode
  return {
    host,
    rejectUnauthorized: isVerified,
    ...(!isIP(host) && { servername: host }),
    ...(mode !== "verify-full" && { checkServerIdentity: () => undefined }),
    // Without a file: the authorities of Bun.
    ...(sslrootcert && sslrootcert !== "system" && { ca: readPem("sslrootcert", sslrootcert) }),
    ...(sslcert && { cert: readPem("sslcert", sslcert), key: readKey(sslkey ?? "") }),
  }
}

/** The options of postgres.js for a URL with one host. */
export const connectionOptions = (url: string) => {
  const parameters = read(url)
  const [{ host = "", port } = {}] = split(parameters)
  const { user = "", password = "", dbname = "" } = parameters
  const { application_name = "todo-api", options, search_path } = parameters
  const sslmode = modeOf(parameters)
  return {
    host,
    port: Number(port),
    username: user,
    password,
    database: dbname,
    sslmode,
    ssl: tlsOptions(sslmode, parameters),
    connection: {
      application_name,
      ...(options && { options }),
      ...(search_path && { search_path }),
    },
  }
}

/**
 * The URL with all that the variables add, in the form that everything else reads. Throws a RangeError.
 * Also reads the files that it names: a missing certificate must not look like an absent database.
 */
export const readDatabaseUrl: Reader<string | undefined> = (url, env) => {
  if (url === undefined) return undefined
  const whole = write(read(url, env))
  targetOf(whole)
  for (const single of hostUrls(whole)) connectionOptions(single)
  return whole
}
