/** The connection to Postgres: how a DATABASE_URL is read, and how its types become ours. */
import postgres from "postgres"

type Types = { id: postgres.PostgresType<number>; instant: postgres.PostgresType<string> }
export type Sql = postgres.Sql<{ id: number; instant: string }>

/** `2026-01-03 09:30:00.1+00`, as Postgres prints it in UTC, to `2026-01-03T09:30:00.100Z`. */
const toRfc3339 = (text: string): string => {
  if (!text.endsWith("+00")) return new Date(text).toISOString()
  const fraction = text.slice(20, -3).padEnd(3, "0").slice(0, 3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`
}

/** libpq takes a user without a host (`postgres://todo@/todo?host=/directory`); `URL` does not. */
export const parseDatabaseUrl = (url: string): URL =>
  new URL(url.replace(/^(\w+:\/\/[^/@]*@)(?=\/)/, "$1localhost"))

/** libpq's way to say a Unix socket in a URL is `?host=/directory`; postgres.js knows none. */
export const connectionOptions = (url: string) => {
  const { searchParams, hostname, port, username, password, pathname } = parseDatabaseUrl(url)
  const host = searchParams.get("host") ?? decodeURIComponent(hostname)
  return {
    host,
    port: Number(searchParams.get("port") ?? (port || 5432)),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  }
}

/** One slow statement must not hold up others that were sent behind it. (Not in the types.) */
const pipelining = { max_pipeline: 1 }

export const connect = (url: string, poolSize: number): Sql =>
  postgres<Types>({
    ...connectionOptions(url),
    max: poolSize,
    fetch_types: false,
    ...pipelining,
    // The default grows to 20 s, and requests would wait as long after the database is back.
    backoff: () => 0.1,
    connect_timeout: 2,
    onnotice: () => {},
    connection: { application_name: "todo-api", TimeZone: "UTC", DateStyle: "ISO" },
    types: {
      // Every bigint here is an id or a count below 2^53: a constraint of its table says so.
      id: { to: 20, from: [20], serialize: String, parse: Number },
      instant: { to: 1184, from: [1184], serialize: String, parse: toRfc3339 },
    },
  })
