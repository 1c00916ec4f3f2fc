/** The log: a JSON line for each event on standard output, or readable lines if that is a terminal. */
import { ValidationError } from "elysia"
import pino from "pino"
import postgres from "postgres"

/** pino's logger, with a faster way for the line of every request. */
export type Log = pino.Logger & {
  /** Writes members that already are JSON, at level info. */
  line: (members: string) => void
  /**
   * Resolves when all lines have been written. Nobody may read them: then the rest is dropped in time,
   * because pino would wait for a reader when the process exits, for ever.
   */
  end: (patienceMs?: number) => Promise<void>
}

/** Lines are collected for this long, so that one write takes many of them. */
const FLUSH_MS = 100
/** Bytes that are written before that. */
const WRITE_FROM = 48 * 1024
const WRITE_AT_MOST = 64 * 1024
/** Bytes that may wait while nobody reads the output. After that lines are dropped and counted. */
const BACKLOG_LIMIT = 16 * 1024 * 1024

const stackOf = ({ stack = "" }: Error) => stack.slice(Math.max(0, stack.search(/^\s+at /m))).trim()

/**
 * What an operator needs to know of an error, without anything that a client sent: errors of postgres.js
 * contain the parameters of the statement and the row, validation errors contain the body.
 */
export const describeError = (error: unknown, depth = 0): object => {
  if (!(error instanceof Error)) return { type: typeof error }
  const { name, message, cause } = error
  const common = {
    type: name,
    stack: stackOf(error),
    ...(cause !== undefined && depth < 4 && { cause: describeError(cause, depth + 1) }),
  }
  if (error instanceof ValidationError)
    return { ...common, message: `the ${error.type} breaks its schema` }
  if (error instanceof postgres.PostgresError) {
    const { code, severity, routine, constraint_name, table_name } = error
    const about = { code, severity, routine, constraint: constraint_name, table: table_name }
    // Data exceptions (22…) quote the value.
    return { ...common, ...about, ...(!code.startsWith("22") && { message }) }
  }
  return { ...common, message, ...("code" in error && { code: error.code }) }
}

/** For people: `09:30:00.123 WARN  503 GET /health/ready 1.2 ms {"request_id":"…"}` */
const readable = (line: string): string => {
  const { time, level, msg, method, route, status, duration_ms, err, ...rest } = JSON.parse(line)
  const label = level.toUpperCase().padEnd(5)
  const said = msg ?? `${status} ${method} ${route} ${duration_ms} ms`
  const details = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : ""
  const cause = err ? `\n  ${err.type}: ${err.message ?? err.code ?? ""}\n  ${err.stack ?? ""}` : ""
  return `${new Date(time).toISOString().slice(11, 23)} ${label} ${said}${details}${cause}\n`
}

/** Commands that print a result log to 2. */
export const createLog = (level: string, dest: 1 | 2 = 1): Log => {
  const sizes = { minLength: 1, maxWrite: WRITE_AT_MOST, maxLength: BACKLOG_LIMIT }
  const output = pino.destination({ dest, sync: false, ...sizes })
  let dropped = 0
  output.on("drop", (lines: string) => {
    dropped += lines.split("\n").length - 1
  })
  output.on("drain", () => {
    if (dropped > 0) log.warn({ dropped }, "nobody read the log: lines were lost")
    dropped = 0
  })
  // The reader of the log has gone: that is no reason to stop serving.
  output.on("error", () => {})

  // Gathered here: pino's destination measures all that it has gathered again with each line, or makes
  // a buffer of each. Either costs more than the line itself.
  let batch = ""
  let timer: Timer | undefined
  let hasEnded = false
  const handOver = () => {
    clearTimeout(timer)
    timer = undefined
    if (batch !== "" && !hasEnded) output.write(batch)
    batch = ""
  }
  const isTerminal = (dest === 1 ? process.stdout : process.stderr).isTTY
  const write = (line: string) => {
    batch += isTerminal ? readable(line) : line
    if (batch.length >= WRITE_FROM) handOver()
    else timer ??= setTimeout(handOver, FLUSH_MS)
  }
  const end = async (patienceMs = 1_000) => {
    handOver()
    const flushed = new Promise<void>((resolve) => output.flush(() => resolve()))
    await Promise.race([flushed, Bun.sleep(patienceMs)])
    hasEnded = true
    output.destroy()
  }
  const options = {
    level,
    base: null,
    serializers: { err: (error: unknown) => describeError(error) },
    formatters: { level: (name: string) => ({ level: name }) },
  }
  const log = pino(options, { write })
  const line = log.isLevelEnabled("info")
    ? (members: string) => write(`{"level":"info","time":${Date.now()},${members}}\n`)
    : () => {}
  return Object.assign(log, { line, end })
}
