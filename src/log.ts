/** The log: one JSON line an event on standard output, made readable where that is a terminal. */
import { ValidationError } from "elysia"
import pino from "pino"
import postgres from "postgres"

/** pino's logger, and a way past it for what is logged with every request. */
export type Log = pino.Logger & {
  /** Writes members that are JSON already, at level info. */
  line: (members: string) => void
}

/** Lines wait this long for company: one write for many of them. */
const FLUSH_MS = 100
/** What may be held while nobody reads our output; then lines are dropped, and counted. */
const BACKLOG_LIMIT = 16 * 1024 * 1024
const BATCH_LIMIT = 64 * 1024

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

/** Standard output in batches, so that a line costs no system call. */
const createOutput = () => {
  const output = Bun.stdout.writer()
  const isTerminal = process.stdout.isTTY
  let batch = ""
  let pending = 0
  let dropped = 0
  let timer: Timer | undefined

  const flush = async () => {
    clearTimeout(timer)
    timer = undefined
    if (dropped > 0) {
      batch += `${JSON.stringify({ level: 40, time: Date.now(), dropped, msg: "nobody read the log: lines were dropped" })}\n`
      dropped = 0
    }
    const text = batch
    batch = ""
    pending += text.length
    try {
      output.write(text)
      await output.flush()
    } catch {
      // Whoever read it is gone, which is no reason to stop serving.
    } finally {
      pending -= text.length
    }
  }

  return {
    write(line: string) {
      if (pending > BACKLOG_LIMIT) {
        dropped++
        return
      }
      batch += isTerminal ? readable(line) : line
      if (batch.length > BATCH_LIMIT) flush()
      else timer ??= setTimeout(flush, FLUSH_MS)
    },
    /** As pino calls it. */
    flush(done: (error?: Error) => void) {
      flush().then(() => done(), done)
    },
  }
}

export const createLog = (level: string): Log => {
  const output = createOutput()
  const log = pino(
    { level, base: null, serializers: { err: (error) => describeError(error) } },
    output,
  )
  const line = log.isLevelEnabled("info")
    ? (members: string) => output.write(`{"level":30,"time":${Date.now()},${members}}\n`)
    : () => {}
  return Object.assign(log, { line })
}

/** Resolves when everything that was logged has been written. */
export const flushLog = (log: Log) => new Promise<void>((resolve) => log.flush(() => resolve()))
