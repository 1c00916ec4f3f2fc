/**
 * All that is known of postgres.js' private parts.
 *
 * Its public interface can neither hold a statement back until a connection is free, nor send a
 * brief one behind another without doing the same to slow ones, nor cancel without an unhandled
 * rejection. test/database/driver.test.ts fails where an upgrade changes what is relied on here.
 */

declare const made: unique symbol
/** A query or a fragment of one. A query starts once it is awaited. */
export type Query = Promise<unknown> & { readonly [made]: true }

type Start = (query: Query) => void

type Private = {
  /** Called with the query when it is awaited. Each instance of postgres.js has its own. */
  handler: Start
  reject: (reason: unknown) => void
  /** Sends the cancel request. The public `cancel()` drops this promise, and so its rejection. */
  canceller: (query: Query) => Promise<void>
  /** Whether the server works on it, and not yet on one that was sent before it. */
  active: boolean
}

const privatePartsOf = (query: Query) => query as unknown as Private

/** Of what postgres.js makes, names and lists are no queries. */
export const isQuery = (value: unknown): value is Query => value instanceof Promise

/** What starts a query on this instance, whichever instance made it. */
export const starterOf = (instance: { unsafe(text: string): Promise<unknown> }): Start =>
  privatePartsOf(instance.unsafe("") as Query).handler

/** Calls `start` in place of what would start the query, and returns that. */
export const interceptStart = (query: Query, start: Start): Start => {
  const parts = privatePartsOf(query)
  const { handler } = parts
  parts.handler = start
  return handler
}

export const isActive = (query: Query): boolean => privatePartsOf(query).active

export const rejectQuery = (query: Query, reason: unknown): void =>
  privatePartsOf(query).reject(reason)

/**
 * Asks the server to cancel the query; it then fails by itself. One that is not active yet must not
 * be cancelled: postgres.js would forget it, and take its answer for that of the next one.
 */
export const cancelQuery = (query: Query): void => {
  if (isActive(query))
    privatePartsOf(query)
      .canceller(query)
      .catch(() => {})
}

/** Postgres' own name for the place in its code that a notice comes from, in no language. */
const SYNCHRONOUS_WAIT = "SyncRepWaitForLSN"

/** Whether a commit was cancelled while it waited for a standby: it is done, but only here. */
export const isUnreplicatedCommit = (notice: { [field: string]: unknown }): boolean =>
  notice["routine"] === SYNCHRONOUS_WAIT
