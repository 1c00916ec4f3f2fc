/** Parses a DATABASE_URL as libpq does: one host or several, by TCP or a Unix socket. */
import { tlsOptions } from "./tls.ts"

const TARGETS = ["any", "read-write", "primary"] as const
/** Which hosts are suitable: libpq's target_session_attrs. */
export type Target = (typeof TARGETS)[number]

const DEFAULT_PORT = 5432

/** `URL` refuses a user without a host (`postgres://todo@/todo?host=/directory`), which libpq accepts. */
export const parseDatabaseUrl = (url: string): URL =>
  new URL(url.replace(/^(\w+:\/\/[^/@]*@)(?=\/)/, "$1localhost"))

/** Splits the list of hosts, which `URL` refuses, from a URL. `withHost` makes a URL with one of them. */
const splitAuthority = (url: string) => {
  const [, start = "", hosts = "", end = ""] =
    /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(url) ?? []
  const list = hosts.split(",")
  return { list, withHost: (host: string) => parseDatabaseUrl(start + host + end) }
}

export const parseFirstHost = (url: string): URL => {
  const { list, withHost } = splitAuthority(url)
  return withHost(list[0] ?? "")
}

/** The port of each host, from a list of one port for all or one for each. Throws a RangeError. */
const portsOf = (hosts: string[], list: string | null): (string | undefined)[] => {
  if (list === null) return hosts.map(() => undefined)
  const ports = list.split(",")
  if (ports.length !== 1 && ports.length !== hosts.length)
    throw new RangeError("must name one port, or as many ports as hosts")
  return hosts.map((_, n) => ports[n] ?? ports[0])
}

/**
 * A URL for each host, in their order. Hosts are listed before the path (`a:1,b:2`) or by parameters
 * (`?host=a,b&port=1,2`), which win, as in libpq. Throws a RangeError whose message completes a
 * sentence that begins with the variable's name.
 */
export const hostUrls = (url: string): string[] => {
  const { list, withHost } = splitAuthority(url)
  const named = parseFirstHost(url)
  const listed = named.searchParams.get("host")
  const hosts = listed?.split(",") ?? list
  const port = named.searchParams.get("port")
  if (hosts.length === 1 && !port?.includes(",")) return [url]
  if (hosts.includes("")) throw new RangeError("must name every host of its list")
  const ports = portsOf(hosts, port)
  return hosts.map((host, n) => {
    const single = listed === null ? withHost(host) : parseFirstHost(url)
    if (listed !== null) single.searchParams.set("host", host)
    const own = ports[n]
    if (own !== undefined) single.searchParams.set("port", own)
    return single.toString()
  })
}

/** Undefined if the URL names none. Throws like `hostUrls`. */
export const targetOf = (url: string): Target | undefined => {
  const named = parseFirstHost(url).searchParams.get("target_session_attrs")
  const target = TARGETS.find((known) => known === named)
  if (named !== null && target === undefined)
    throw new RangeError(
      `must have one of ${TARGETS.join(", ")} as target_session_attrs: the service writes`,
    )
  return target
}

const portOf = (text: string) => {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new RangeError("must have ports from 1 to 65535")
  return port
}

/**
 * The options of postgres.js for a URL with one host. Given the URL itself, postgres.js would pass unknown
 * parameters on to the server, which refuses them.
 */
export const connectionOptions = (url: string) => {
  const { searchParams, hostname, port, username, password, pathname } = parseDatabaseUrl(url)
  const host = searchParams.get("host") ?? decodeURIComponent(hostname).replace(/^\[|\]$/g, "")
  const options = searchParams.get("options")
  return {
    host,
    port: portOf(searchParams.get("port") ?? (port || String(DEFAULT_PORT))),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    ssl: tlsOptions(host, searchParams),
    connection: {
      application_name: searchParams.get("application_name") ?? "todo-api",
      ...(options !== null && { options }),
    },
  }
}

/** Checks the whole URL, and reads the files that it names. Throws a RangeError. */
export const checkDatabaseUrl = (url: string): void => {
  targetOf(url)
  for (const single of hostUrls(url)) connectionOptions(single)
}
