/** Connects to Postgres: the interface for statements, and the conversion of types. */
import postgres from "postgres"
import { connectionOptions, hostUrls, targetOf } from "../config/database-url.ts"
import { CONNECT_LIMIT_SECONDS } from "./deadlines.ts"
import { isUnreplicatedCommit } from "./driver.ts"
import { watchHosts } from "./hosts/failover.ts"
import { createPool } from "./pool.ts"
import {
  type Columns,
  PREPARED,
  type Sql,
  type Statements,
  type Types,
  type Value,
  type Waiting,
} from "./sql.ts"

export { PREPARED, type Sql, type Statements, type Value } from "./sql.ts"

type Tag = postgres.Sql<Columns>

/** Converts `2026-01-03 09:30:00.1+00`, as Postgres writes it in UTC, to `2026-01-03T09:30:00.100Z`. */
const toRfc3339 = (text: string): string => {
  if (!text.endsWith("+00")) return new Date(text).toISOString()
  const fraction = text.slice(20, -3).padEnd(3, "0").slice(0, 3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`
}

type AnyTag = postgres.ISql<Columns>

type Limit = <Made>(make: (tag: AnyTag) => Made, waiting?: Waiting) => Made

/** The tag of postgres.js. Each of its queries goes through `limit`. */
const limitedTag = (limit: Limit): Statements =>
  Object.assign(
    ((...args: Parameters<AnyTag>) => limit((tag) => tag(...args))) as unknown as Statements,
    {
      json: (value: postgres.JSONValue) => limit((tag) => tag.json(value)),
      unsafe: ((text, values, options) =>
        limit((tag) => tag.unsafe(text, values, options), options)) as Statements["unsafe"],
    },
  )

/**
 * `onMove` is called with the host that is used from now on, if there are several, and with a name
 * for its promotion, if commits that were seen on the host before may be lost.
 */
export const connect = (
  url: string,
  poolSize: number,
  prepare = true,
  onMove: (host: string, lossyPromotion: string | undefined) => void = () => {},
): Sql => {
  const urls = hostUrls(url)
  const known = new Map(urls.map((single) => [single, connectionOptions(single)]))
  const optionsOf = (single: string) => known.get(single) ?? connectionOptions(single)
  const open = (single: string, onUnreplicatedCommit: () => void) => {
    const { connection, ...options } = optionsOf(single)
    return postgres<Types>({
      ...options,
      max: 1,
      prepare,
      fetch_types: false,
      // A connection is opened for a statement that waits for it, and a failure fails that statement.
      backoff: () => 0,
      connect_timeout: CONNECT_LIMIT_SECONDS,
      max_lifetime: null,
      onnotice: (notice) => isUnreplicatedCommit(notice) && onUnreplicatedCommit(),
      connection: { ...connection, TimeZone: "UTC", DateStyle: "ISO" },
      types: {
        // Every bigint here is an id or a count below 2^53, by a constraint of its table.
        id: { to: 20, from: [20], serialize: String, parse: Number },
        instant: { to: 1184, from: [1184], serialize: String, parse: toRfc3339 },
      },
    })
  }
  const [first = url] = urls
  const target = targetOf(url) ?? (urls.length > 1 ? "read-write" : "any")
  /** A commit that did not reach the standby is there to be read nevertheless. */
  let isUnreplicated = false
  const hosts =
    urls.length > 1 || target !== "any"
      ? watchHosts(urls, target, (single, promotion) => {
          pool.replaceConnections()
          const { host, port } = optionsOf(single)
          const isLossy = promotion && (isUnreplicated || !promotion.wasSynchronous)
          isUnreplicated = false
          onMove(
            `${host}:${port}`,
            isLossy ? `${promotion.history.system}/${promotion.history.timeline}` : undefined,
          )
        })
      : undefined
  const pool = createPool<postgres.TransactionSql<Columns>, Tag>(
    poolSize,
    open(first, () => {}),
    (onUnreplicatedCommit) =>
      open(hosts?.current() ?? first, () => {
        isUnreplicated = true
        onUnreplicatedCommit()
      }),
  )
  return Object.assign(
    limitedTag((make, waiting) => pool.limited(make, false, waiting)),
    {
      // A statement that is not prepared takes two round trips, so that none can be sent behind it.
      pipelined: limitedTag((make, waiting) => pool.limited(make, prepare, waiting)),
      inLane: <Row extends object | undefined>(
        lane: number,
        text: string,
        values: Value[],
        isBrief: boolean,
      ) =>
        pool.inLane(lane, (tag) => tag.unsafe<Row[]>(text, values, PREPARED), isBrief && prepare),
      begin: <Result>(work: (transaction: Statements) => Promise<Result>, waiting?: Waiting) =>
        pool.begin(
          (limit, transaction) => work(limitedTag((make) => limit(make(transaction)))),
          waiting,
        ),
      found: hosts?.found ?? Promise.resolve(),
      state: pool.state,
      end() {
        hosts?.end()
        return pool.end()
      },
    },
  )
}
