/**
 * All that is known of postgres.js' private parts.
 *
 * Its public interface can neither hold a statement back until a connection is free, nor send one
 * behind another without doing the same to all, nor send one anew, nor say when a cancel is over.
 * test/database/driver.test.ts fails where an upgrade changes what is relied on here.
 */
import postgres from "postgres"
import { connectionOptions } from "../config/database-url.ts"

/** Whatever the role and the database have set. All poolers let these through. */
const SETTINGS = { DateStyle: "ISO", standard_conforming_strings: "on", TimeZone: "UTC" }

/**
 * One connection, or as many as `options` says, opened by the first statement. Statements are prepared on
 * the server only on demand, and nothing is asked but what the caller asks.
 */
export const openConnection = <Types extends Record<string, postgres.PostgresType>>(
  url: string,
  options: postgres.Options<Types> = {},
) => {
  const { connection, ...own } = connectionOptions(url)
  return postgres<Types>({
    ...own,
    max: 1,
    prepare: false,
    fetch_types: false,
    max_lifetime: null,
    onnotice: () => {},
    ...options,
    connection: { ...connection, ...SETTINGS, ...options.connection },
  })
}

/** Whether a connection can be made. */
export const answers = async (
  url: string,
  options?: Pick<postgres.Options<never>, "ssl">,
): Promise<boolean> => {
  const sql = openConnection(url, options)
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end()
  }
}

/** For a session that rests while something else works: once it is closed it is not opened again. */
export const keepIdle = (sql: postgres.Sql) => sql`
  select set_config(name, '0', false)
  from pg_settings
  where name = 'idle_session_timeout'`

/** Ends the connection where the work is aborted meanwhile: it may be waiting for a lock of somebody's. */
export const abortable = async <Result>(
  sql: postgres.Sql,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> => {
  signal.throwIfAborted()
  const end = () => sql.end({ timeout: 0 })
  signal.addEventListener("abort", end)
  try {
    return await work()
  } finally {
    signal.removeEventListener("abort", end)
  }
}

declare const made: unique symbol
/** A query, or a fragment of one. A query starts when it is awaited. */
export type Query = Promise<unknown> & { readonly [made]: true }

type Start = (query: Query) => void

type Private = {
  /** Called with the query when it is awaited. Each instance of postgres.js has its own. */
  handler: Start
  reject: (reason: unknown) => void
  /** Sends a cancel request by the instance's options. Resolves when its connection is closed. */
  canceller: (query: Query) => Promise<void>
  /** Its text with placeholders, once it has been sent. */
  string?: string
  /** Whether it is the one that the server is working on, of those sent to it. */
  active: boolean
}

const privatePartsOf = (query: Query) => query as unknown as Private

/** Names and lists, which postgres.js also makes, are no queries. */
export const isQuery = (value: unknown): value is Query => value instanceof Promise

/** Starts and cancels queries on this instance, even those that another instance made. */
export const controlsOf = (instance: { unsafe(text: string): Promise<unknown> }) => {
  const { handler, canceller } = privatePartsOf(instance.unsafe("") as Query)
  return { start: handler, cancel: canceller }
}

/** Replaces the function that starts the query by `start`, and returns the original one. */
export const interceptStart = (query: Query, start: Start): Start => {
  const parts = privatePartsOf(query)
  const { handler } = parts
  parts.handler = start
  return handler
}

/** Where `isKept` returns true the query is not rejected: it can be started again. */
export const interceptRejection = (query: Query, isKept: (reason: unknown) => boolean): void => {
  const parts = privatePartsOf(query)
  const { reject } = parts
  parts.reject = (reason) => {
    if (isKept(reason)) parts.active = false
    else reject(reason)
  }
}

/** One that is not active must not be cancelled: the server would cancel another one. */
export const isActive = (query: Query): boolean => privatePartsOf(query).active

export const rejectQuery = (query: Query, reason: unknown): void =>
  privatePartsOf(query).reject(reason)

/** Without its parameters. Undefined if it was never sent. */
export const textOf = (query: Query): string | undefined => privatePartsOf(query).string

/** The function of Postgres that sends the notice. Unlike the text, its name is never translated. */
const SYNCHRONOUS_WAIT = "SyncRepWaitForLSN"

/** Whether a commit was cancelled while it waited for a standby. It is done on the primary alone. */
export const isUnreplicatedCommit = (notice: { [field: string]: unknown }): boolean =>
  notice["routine"] === SYNCHRONOUS_WAIT
