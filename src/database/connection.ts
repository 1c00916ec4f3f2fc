/** The connection to Postgres: how a DATABASE_URL is read, and how its types become ours. */
import postgres from "postgres"
import { CONNECT_LIMIT_SECONDS, createPool, type PoolState } from "./pool.ts"
import { tlsOptions } from "./tls.ts"

type Types = { id: postgres.PostgresType<number>; instant: postgres.PostgresType<string> }
type Columns = { id: number; instant: string }
type Tag = postgres.Sql<Columns>

/** Statements, fragments of them, and what postgres.js makes of names and lists. */
export interface Statements {
  <Rows extends readonly (object | undefined)[] = postgres.Row[]>(
    template: TemplateStringsArray,
    ...parameters: readonly postgres.ParameterOrFragment<number | string>[]
  ): postgres.PendingQuery<Rows>
  (name: string): postgres.Helper<string>
  <Value extends postgres.SerializableParameter>(values: readonly Value[]): postgres.Helper<Value[]>
  json: Tag["json"]
  unsafe: Tag["unsafe"]
}

export interface Sql extends Statements {
  /** For a statement that reads or writes few rows, and waits for no lock that is held for long. */
  brief: Statements
  begin<Result>(work: (transaction: Statements) => Promise<Result>): Promise<Result>
  state(): PoolState
  end(): Promise<void>
}

/** `2026-01-03 09:30:00.1+00`, as Postgres prints it in UTC, to `2026-01-03T09:30:00.100Z`. */
const toRfc3339 = (text: string): string => {
  if (!text.endsWith("+00")) return new Date(text).toISOString()
  const fraction = text.slice(20, -3).padEnd(3, "0").slice(0, 3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`
}

/** libpq takes a user without a host (`postgres://todo@/todo?host=/directory`); `URL` does not. */
export const parseDatabaseUrl = (url: string): URL =>
  new URL(url.replace(/^(\w+:\/\/[^/@]*@)(?=\/)/, "$1localhost"))

/**
 * What libpq reads from a URL, a Unix socket (`?host=/directory`) included, for postgres.js, which
 * would hand every parameter that it does not know to the server, and be refused.
 */
export const connectionOptions = (url: string) => {
  const { searchParams, hostname, port, username, password, pathname } = parseDatabaseUrl(url)
  const host = searchParams.get("host") ?? decodeURIComponent(hostname).replace(/^\[|\]$/g, "")
  const options = searchParams.get("options")
  return {
    host,
    port: Number(searchParams.get("port") ?? (port || 5432)),
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

type AnyTag = postgres.ISql<Columns>

/** postgres.js' tag, each query of which goes through `limit`. */
const limitedTag = (limit: <Made>(make: (tag: AnyTag) => Made) => Made): Statements =>
  Object.assign(
    ((...args: Parameters<AnyTag>) => limit((tag) => tag(...args))) as unknown as Statements,
    {
      json: (value: postgres.JSONValue) => limit((tag) => tag.json(value)),
      unsafe: ((...args) => limit((tag) => tag.unsafe(...args))) as Statements["unsafe"],
    },
  )

export const connect = (url: string, poolSize: number, prepare = true): Sql => {
  const { connection, ...options } = connectionOptions(url)
  const open = () =>
    postgres<Types>({
      ...options,
      max: 1,
      prepare,
      fetch_types: false,
      // A connection is only made for a statement that waits for it, and fails together with it.
      backoff: () => 0,
      connect_timeout: CONNECT_LIMIT_SECONDS,
      max_lifetime: null,
      onnotice: () => {},
      connection: { ...connection, TimeZone: "UTC", DateStyle: "ISO" },
      types: {
        // Every bigint here is an id or a count below 2^53: a constraint of its table says so.
        id: { to: 20, from: [20], serialize: String, parse: Number },
        instant: { to: 1184, from: [1184], serialize: String, parse: toRfc3339 },
      },
    })
  const pool = createPool<postgres.TransactionSql<Columns>, Tag>(poolSize, open)
  return Object.assign(
    limitedTag((make) => pool.limited(make)),
    {
      // Without prepared statements each is described first, and none can be sent behind it.
      brief: limitedTag((make) => pool.limited(make, prepare)),
      begin: <Result>(work: (transaction: Statements) => Promise<Result>) =>
        pool.begin((limit, transaction) => work(limitedTag((make) => limit(make(transaction))))),
      state: pool.state,
      end: pool.end,
    },
  )
}
