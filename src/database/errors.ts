/** What an error of postgres.js means: a broken constraint, or a database that is away. */
import postgres from "postgres"

/** The constraint that a statement broke, or undefined. */
export const constraintOf = (error: unknown): string | undefined =>
  error instanceof postgres.PostgresError && error.code.startsWith("23")
    ? error.constraint_name
    : undefined

/** Of postgres.js and the operating system, and of Postgres: it starts, stops, or is full. */
const AWAY =
  /^(CONNECT(ION)?_\w+|ECONN\w+|ENOENT|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|08\w{3}|57P0[1-5]|53\w{3})$/

export const isAway = (error: unknown): boolean =>
  error instanceof Error && "code" in error && AWAY.test(String(error.code))
