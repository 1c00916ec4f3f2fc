/**
 * All that is known of postgres.js' private parts.
 *
 * Its public interface can neither hold a statement back until a connection is free, nor send a
 * brief one behind another without doing the same to slow ones, nor cancel without an unhandled
 * rejection. test/database/driver.test.ts fails where an upgrade changes what is relied on here.
 */

declare const made: unique symbol
/** A query, or a fragment of one. A query starts when it is awaited. */
export type Query = Promise<unknown> & { readonly [made]: true }

type Start = (query: Query) => void

type Private = {
  /** Called with the query when it is awaited. Each instance of postgres.js has its own. */
  handler: Start
  reject: (reason: unknown) => void
  /** Sends the cancel request. The public `cancel()` drops this promise, and so its rejection. */
  canceller: (query: Query) => Promise<void>
  /** Whether it is the one that the server is working on, of those sent to it. */
  active: boolean
}

const privatePartsOf = (query: Query) => query as unknown as Private

/** Names and lists, which postgres.js also makes, are no queries. */
export const isQuery = (value: unknown): value is Query => value instanceof Promise

/** The function that starts a query on this instance, even if another instance made it. */
export const starterOf = (instance: { unsafe(text: string): Promise<unknown> }): Start =>
  privatePartsOf(instance.unsafe("") as Query).handler

/** Replaces the function that starts the query by `start`, and returns the original one. */
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
 * Asks the server to cancel the query, which then fails by itself. A query that is not active yet must not
 * be cancelled: postgres.js would forget it, and take its answer for that of the next query.
 */
export const cancelQuery = (query: Query): void => {
  if (isActive(query))
    privatePartsOf(query)
      .canceller(query)
      .catch(() => {})
}

/** The function of Postgres that sends the notice. Unlike the text, its name is never translated. */
const SYNCHRONOUS_WAIT = "SyncRepWaitForLSN"

/** Whether a commit was cancelled while it waited for a standby. It is done on the primary alone. */
export const isUnreplicatedCommit = (notice: { [field: string]: unknown }): boolean =>
  notice["routine"] === SYNCHRONOUS_WAIT
