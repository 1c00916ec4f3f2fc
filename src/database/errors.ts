/** Classifies errors of the database: a violated constraint, or a database that is away. */
import postgres from "postgres"

const isOfServer = (error: unknown): error is postgres.PostgresError =>
  error instanceof postgres.PostgresError

/** Of Postgres, postgres.js or the operating system; empty if it has none. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : ""

/** The constraint that a statement violated, or undefined. */
export const constraintOf = (error: unknown): string | undefined =>
  isOfServer(error) && error.code.startsWith("23") ? error.constraint_name : undefined

/**
 * Whether a statement gave no value to this column, which requires one. For errors of shards Citus tells
 * neither the table nor the column.
 */
export const isNullRefused = (error: unknown, table: string, column: string): boolean =>
  isOfServer(error) &&
  error.code === "23502" &&
  (error.table_name ?? table) === table &&
  (error.column_name ?? column) === column

/** The statement had to wait for a lock, longer than it may. */
export const isLockTimeout = (error: unknown): boolean => codeOf(error) === "55P03"

/** The server offers no TLS, and sslmode asks for it: waiting does not help. */
export const isTlsMissing = (error: unknown): boolean => codeOf(error) === "TLS_NOT_OFFERED"

/** The pooler refuses a start-up parameter. If it is one of the URL, waiting does not help. */
export const isParameterRefused = (error: unknown): boolean =>
  isOfServer(error) &&
  error.code === "08P01" &&
  error.message.startsWith("unsupported startup parameter")

/** Of the pool or its hosts, not of the server. */
class PoolError extends Error {
  override name = "PoolError"
  constructor(
    readonly code: string,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause })
  }
}
export const poolExhausted = () =>
  new PoolError("POOL_EXHAUSTED", "No connection became free in time")

/** The commit exists on the primary alone. If that is lost now, so is the commit: it is not acknowledged. */
export const unreplicated = () =>
  new PoolError("COMMIT_UNREPLICATED", "A commit did not reach the standby that it waited for")

export const noWritableHost = (cause: unknown) =>
  new PoolError("NO_WRITABLE_HOST", "No host of the database may be written to", cause)

/** Codes of postgres.js and of the operating system: the connection is gone, or was never made. */
const DISCONNECTED =
  /^(CONNECT(ION)?_\w+|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/
const isGone = (error: unknown) =>
  DISCONNECTED.test(codeOf(error)) ||
  // ENOENT of a missing Unix socket. Other missing files are no reason to wait.
  (error instanceof Error && "syscall" in error && error.syscall === "connect")

/**
 * SQLSTATEs of Postgres after which a repeat may succeed. The server starts, stops, lacks resources or
 * refuses the connection (08, 53, 57P, 58). The statement exceeded a limit (55P03, 57014), or failed
 * because of a concurrent one (40). The host is a standby, as during a failover (25006).
 */
const MAY_PASS = /^(08\w{3}|25006|40\w{3}|53\w{3}|55P03|57014|57P0[1-5]|58\w{3})$/

/**
 * What else ends only when somebody mends the database: the role or its password is refused (28), the
 * database is not there (3D000), takes no connections (55000), or the role lacks grants (42501).
 */
const REFUSES = /^(28\w{3}|3D000|42501|55000)$/

/** It was made anew, or restored without our tables or an older state of them. */
const LACKS_SCHEMA = /^(3F000|42P01|42703)$/

/** Whether waiting helps. At the start it does not against a wrong password or parameter. */
export const mayPass = (error: unknown): boolean =>
  isOfServer(error)
    ? MAY_PASS.test(error.code) && !isParameterRefused(error)
    : error instanceof PoolError ||
      // postgres.js' word that nothing of a transaction is there.
      codeOf(error) === "ROLLED_BACK" ||
      isGone(error)

/** Whether it is the database that fails, and not what is asked of it. */
export const isAway = (error: unknown): boolean =>
  mayPass(error) ||
  whyRefused(error) !== undefined ||
  (isOfServer(error) && (REFUSES.test(error.code) || LACKS_SCHEMA.test(error.code)))

/** What the operator is to look at, where it is not the way to the database. */
export const outageOf = (error: unknown): string => {
  const code = codeOf(error)
  if (code === "53100") return "the disk of the database is full"
  if (REFUSES.test(code)) return "the database refuses the service"
  if (LACKS_SCHEMA.test(code)) return "the database lacks a table or column: run todo-api migrate"
  return "the database is away"
}

/**
 * What an error says of the connection that it came by: it holds a statement or a plan that the server
 * does not know any more, the server refused one of its settings at the start, its host is a standby, a
 * statement was cancelled there, or it is gone.
 */
export const whyRefused = (
  error: unknown,
): "statement" | "plan" | "setting" | "read-only" | "cancel" | "connection" | undefined => {
  if (!isOfServer(error)) return isGone(error) || isTlsMissing(error) ? "connection" : undefined
  const { code, routine, severity } = error
  if (code === "26000" || code === "42P05") return "statement"
  // The function of Postgres that sends it: "cached plan must not change result type", in any language.
  if (code === "0A000" && routine === "RevalidateCachedQuery") return "plan"
  if (isParameterRefused(error)) return "setting"
  if (severity === "FATAL" || severity === "PANIC") return "connection"
  if (code === "25006") return "read-only"
  return code === "57014" ? "cancel" : undefined
}
