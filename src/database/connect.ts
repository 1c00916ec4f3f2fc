/** Connects to Postgres: settings of connections, the conversion of types, the pool and its hosts. */
import type postgres from "postgres"
import { connectionOptions, hostUrls, targetOf } from "../config/database-url.ts"
import type { Log } from "../log.ts"
import { isUnreplicatedCommit, openConnection } from "./driver.ts"
import { watchHosts } from "./failover.ts"
import { CONNECT_LIMIT_SECONDS, createPool } from "./pool.ts"
import type { Columns, Sql, Statements, Types, Waiting } from "./sql.ts"

/** What the service relies on, whatever the role and the database have set. Poolers may refuse it. */
const SETTINGS: Partial<postgres.ConnectionParameters> = {
  // A commit that did not reach its standby is reported by a warning.
  client_min_messages: "notice",
  default_transaction_isolation: "read committed",
}

/** Converts `2026-01-03 09:30:00.1+00`, as Postgres writes it in UTC, to `2026-01-03T09:30:00.100Z`. */
const toRfc3339 = (text: string): string => {
  if (!text.endsWith("+00")) return new Date(text).toISOString()
  const fraction = text.slice(20, -3).padEnd(3, "0").slice(0, 3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`
}

const types: Types = {
  // Every bigint here is an id or a count below 2^53, by a constraint of its table.
  id: { to: 20, from: [20], serialize: String, parse: Number },
  instant: { to: 1184, from: [1184], serialize: String, parse: toRfc3339 },
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

type Options = {
  /** Whether statements are prepared on the server: some poolers cannot do that. */
  prepare?: boolean
  log?: Log
  /** Called with a name for the promotion of another host, if commits that were seen before may be lost. */
  onLossyPromotion?: (name: string) => void
}

export const connect = (
  url: string,
  poolSize: number,
  { prepare = true, log, onLossyPromotion = () => {} }: Options = {},
): Sql => {
  const urls = hostUrls(url)
  const [first = url] = urls
  const target = targetOf(url) ?? (urls.length > 1 ? "read-write" : "any")
  const refused = { statement: !prepare, setting: false }
  /** A commit that did not reach the standby is there to be read nevertheless, or may be. */
  let isUnreplicated = false
  const hosts =
    urls.length > 1 || target !== "any"
      ? watchHosts(urls, target, (single, promotion) => {
          pool.replaceConnections()
          const { host, port } = connectionOptions(single)
          log?.warn(
            { host: `${host}:${port}` },
            "another host of the database is written to from now on",
          )
          if (promotion && (isUnreplicated || !promotion.wasSynchronous))
            onLossyPromotion(`${promotion.history.system}/${promotion.history.timeline}`)
          isUnreplicated = false
        })
      : undefined
  const open = (single: string, onclose?: () => void, onUnreplicatedCommit = () => {}) =>
    openConnection(single, {
      prepare: !refused.statement,
      connect_timeout: CONNECT_LIMIT_SECONDS,
      ...(onclose && { onclose }),
      onnotice: (notice) => isUnreplicatedCommit(notice) && onUnreplicatedCommit(),
      connection: refused.setting ? {} : SETTINGS,
      types,
    })
  const pool = createPool(poolSize, {
    maker: open(first),
    open: (onClose, onUnreplicatedCommit) =>
      open(hosts?.current() ?? first, onClose, () => {
        isUnreplicated = true
        onUnreplicatedCommit()
      }),
    onRefused(what, err) {
      if (refused[what]) return false
      refused[what] = true
      if (what === "statement")
        log?.warn({ err }, "the pooler has no prepared statements: none are used from now on")
      return true
    },
    onSlow(statement, ms) {
      log?.debug({ statement, duration_ms: Math.round(ms) }, "slow statement")
    },
    onUnanswered() {
      isUnreplicated = true
    },
  })
  const exclusive = limitedTag((make, waiting) => pool.limited(make, false, waiting))
  const pipelined = limitedTag((make, waiting) => pool.limited(make, true, waiting))
  return Object.assign(exclusive, {
    pipelined,
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
  })
}
