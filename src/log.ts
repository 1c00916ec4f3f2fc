/** The log: one JSON line an event on standard output, made readable where that is a terminal. */
import { ValidationError } from "elysia"
import pino from "pino"
import postgres from "postgres"

/** pino's logger, and a way past it for what is logged with every request. */
export type Log = pino.Logger & {
  /** Writes members that are JSON already, at level info. */
  line: (members: string) => void
}

/** Lines wait this long for company: one write serves many of them. */
const FLUSH_MS = 100
/** Bytes that start a write before that. */
const WRITE_FROM = 48 * 1024
const WRITE_AT_MOST = 64 * 1024
/** Bytes that may wait while nobody reads our output; then lines are dropped, and counted. */
const BACKLOG_LIMIT = 16 * 1024 * 1024
/** How long the end waits for a reader. */
const LAST_FLUSH_MS = 1_000

/** Data exceptions: their messages quote the value. */
const quotesValues = (code: string) => code.startsWith("22")

const stackOf = ({ stack = "" }: Error) => stack.slice(Math.max(0, stack.search(/^\s+at /m))).trim()

/**
 * What an operator needs of an error, and nothing that a client sent: a postgres.js error carries
 * the statement's parameters, and the row as its detail; a validation error carries the body.
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
    return { ...common, ...about, ...(!quotesValues(code) && { message }) }
  }
  return { ...common, message, ...("code" in error && { code: error.code }) }
}

/** `09:30:00.123 WARN  503 GET /health/ready 1.2 ms {"request_id":"…"}` for a person to read. */
const readable = (line: string): string => {
  const { time, level, msg, method, route, status, duration_ms, err, ...rest } = JSON.parse(line)
  const label = (pino.levels.labels[level] ?? "").toUpperCase().padEnd(5)
  const said = msg ?? `${status} ${method} ${route} ${duration_ms} ms`
  const details = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : ""
  const cause = err ? `\n  ${err.type}: ${err.message ?? err.code ?? ""}\n  ${err.stack ?? ""}` : ""
  return `${new Date(time).toISOString().slice(11, 23)} ${label} ${said}${details}${cause}\n`
}

/** Standard output, or standard error for a command that prints something else, in batches, so that a line costs no system call. */
const createOutput = (dest: 1 | 2) => {
  const output = pino.destination({
    dest,
    sync: false,
    minLength: WRITE_FROM,
    maxWrite: WRITE_AT_MOST,
    maxLength: BACKLOG_LIMIT,
    periodicFlush: FLUSH_MS,
  })
  let dropped = 0
  output.on("drop", () => {
    dropped++
  })
  output.on("drain", () => {
    if (dropped === 0) return
    const line = {
      level: 40,
      time: Date.now(),
      dropped,
      msg: "nobody read the log: lines were lost",
    }
    dropped = 0
    output.write(`${JSON.stringify(line)}\n`)
  })
  // Whoever read it is gone, which is no reason to stop serving.
  output.on("error", () => {})
  return output
}

export const createLog = (level: string, dest: 1 | 2 = 1): Log => {
  const output = createOutput(dest)
  const write = (dest === 1 ? process.stdout : process.stderr).isTTY
    ? (line: string) => output.write(readable(line))
    : (line: string) => output.write(line)
  const destination = { write, flush: (done: (error?: Error) => void) => output.flush(done) }
  const log = pino(
    { level, base: null, serializers: { err: (error) => describeError(error) } },
    destination,
  )
  const line = log.isLevelEnabled("info")
    ? (members: string) => write(`{"level":30,"time":${Date.now()},${members}}\n`)
    : () => {}
  return Object.assign(log, { line })
}

/** Resolves when everything that was logged has been written, or nobody reads it. */
export const flushLog = (log: Log) =>
  Promise.race([
    new Promise<void>((resolve) => log.flush(() => resolve())),
    Bun.sleep(LAST_FLUSH_MS),
  ])
