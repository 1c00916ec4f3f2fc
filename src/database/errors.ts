/** What an error of the database means: a broken constraint, or a database that is away. */
import postgres from "postgres"

/** The constraint that a statement broke, or undefined. */
export const constraintOf = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError && error.code.startsWith("23")
    ? error.constraint_name
    : undefined

/**
 * A statement gave no value to a column that must have one. Of an error of a shard Citus passes on
 * neither the table nor the column.
 */
export const isNullRefused = (error: unknown, table: string, column: string): boolean =>
  error instanceof postgres.PostgresError &&
  error.code === "23502" &&
  (error.table_name ?? table) === table &&
  (error.column_name ?? column) === column

/** The statement was not to wait for a lock, or not for that long. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof postgres.PostgresError && error.code === "55P03"
export class PoolExhausted extends Error {
  override name = "PoolExhausted"
  readonly code = "POOL_EXHAUSTED"
  constructor() {
    super("No connection became free in time")
  }
}

/** It is done on the primary, and lost if that one is lost now: nobody may be told that it is done. */
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

/** Of the pool, of postgres.js and of the operating system. */
const UNREACHABLE =
  /^(POOL_EXHAUSTED|COMMIT_UNREPLICATED|NO_WRITABLE_HOST|CONNECT(ION)?_\w+|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/

const READ_ONLY = "25006"

/**
 * Of Postgres, by SQLSTATE. It starts, stops, lacks resources, or refuses the connection (08, 53,
 * 57P, 58); the statement ran into a limit (55P03, 57014); or it lost against a concurrent one and
 * may win when it is repeated (40). It may not write: a standby, a failover is under way (25006).
 */
const MAY_PASS = /^(08\w{3}|25006|40\w{3}|53\w{3}|55P03|57014|57P0[1-5]|58\w{3})$/

/** A missing Unix socket is an ENOENT, like a missing file, which is no reason to wait. */
const isOfConnecting = (error: Error) => "syscall" in error && error.syscall === "connect"

export const isAway = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  ((error instanceof postgres.PostgresError ? MAY_PASS : UNREACHABLE).test(String(error.code)) ||
    isOfConnecting(error))

export const isReadOnly = (error: unknown): boolean =>
  error instanceof postgres.PostgresError && error.code === READ_ONLY
