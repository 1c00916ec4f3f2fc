/** Classifies errors of the database: a violated constraint, or a database that is away. */
import postgres from "postgres"

/** The constraint that a statement violated, or undefined. */
export const constraintOf = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError && error.code.startsWith("23")
    ? error.constraint_name
    : undefined

/**
 * Whether a statement gave no value to this column, which requires one. For errors of shards Citus tells
 * neither the table nor the column.
 */
export const isNullRefused = (error: unknown, table: string, column: string): boolean =>
  error instanceof postgres.PostgresError &&
  error.code === "23502" &&
  (error.table_name ?? table) === table &&
  (error.column_name ?? column) === column

/** The statement had to wait for a lock, longer than it may. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof postgres.PostgresError && error.code === "55P03"

/** The server offers no TLS, and sslmode asks for it: waiting does not help. */
export const isTlsMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "TLS_NOT_OFFERED"

export class PoolExhausted extends Error {
  override name = "PoolExhausted"
  readonly code = "POOL_EXHAUSTED"
  constructor() {
    super("No connection became free in time")
  }
}

/** Nobody waits for the answer any more. */
export class ClientLeft extends Error {
  override name = "ClientLeft"
  constructor() {
    super("The client has left")
  }
}

/** The commit exists on the primary alone. If that is lost now, so is the commit: it is not acknowledged. */
export class Unreplicated extends Error {
  override name = "Unreplicated"
  readonly code = "COMMIT_UNREPLICATED"
  constructor() {
    super("A commit did not reach the standby that it waited for")
  }
}

export class NoWritableHost extends Error {
  override name = "NoWritableHost"
  readonly code = "NO_WRITABLE_HOST"
  constructor(cause: unknown) {
    super("No host of the database is there that may be written to", { cause })
  }
}

/** Codes of the pool, of postgres.js and of the operating system. */
const UNREACHABLE =
  /^(POOL_EXHAUSTED|COMMIT_UNREPLICATED|NO_WRITABLE_HOST|CONNECT(ION)?_\w+|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/

const READ_ONLY = "25006"

/**
 * SQLSTATEs of Postgres after which a repeat may succeed. The server starts, stops, lacks resources or
 * refuses the connection (08, 53, 57P, 58). The statement exceeded a limit (55P03, 57014), or failed
 * because of a concurrent one (40). The host is a standby, as during a failover (25006).
 */
const MAY_PASS = /^(08\w{3}|25006|40\w{3}|53\w{3}|55P03|57014|57P0[1-5]|58\w{3})$/

/** ENOENT of a missing Unix socket. Other missing files are no reason to wait. */
const isOfConnecting = (error: Error) => "syscall" in error && error.syscall === "connect"

export const isAway = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  ((error instanceof postgres.PostgresError ? MAY_PASS : UNREACHABLE).test(String(error.code)) ||
    isOfConnecting(error))

export const isReadOnly = (error: unknown): boolean =>
  error instanceof postgres.PostgresError && error.code === READ_ONLY
