/** Metrics for Prometheus, named as in https://prometheus.io/docs/practices/naming/ */
import { readdirSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Counter, Gauge, Histogram, Registry } from "prom-client"
import { openFilesLimit } from "../config/warnings.ts"
import type { PoolState } from "../database/sql.ts"
import { Problem } from "./problem.ts"

/** Seconds, from a cached response to beyond the time limit of a statement. */
const DURATIONS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const LOGIN = "/api/v1/auth/login"

const OUTCOMES: { [status: number]: string } = { 200: "success", 401: "wrong_credentials" }

/** What is read when Prometheus asks. */
type Sources = {
  build: { version: string; commit: string }
  pool: () => PoolState
  /** Requests under way, and of those the streams of events and the waits. */
  requests: () => number
  streams: () => number
  /** Mails that wait to be sent, and of those the ones that were refused before. A statement. */
  mails: () => Promise<{ waiting: number; failed: number }>
}

const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

/** The other format wants counters described without their suffix, no blank lines, and an end. */
const toOpenMetrics = (text: string) =>
  `${text.replaceAll(/^(# (?:HELP|TYPE) \w+)_total /gm, "$1 ").replaceAll(/\n+/g, "\n")}# EOF\n`

export const createMetrics = (sources: Sources) => {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({
    name: "todo_api_build_info",
    help: "1, with what runs as labels",
    labelNames: ["version", "commit", "bun"],
    registers,
  }).set({ ...sources.build, bun: Bun.version }, 1)

  const pool = (name: keyof PoolState) => () => sources.pool()[name]
  let database = { up: 1, waiting: 0, failed: 0 }
  let askedAt = -1
  /** Asked only if others use the database, or it is away: a scrape must not keep one awake that sleeps. */
  const askDatabase = async () => {
    if (database.up && sources.pool().ended === askedAt) return
    database = await sources.mails().then(
      (mails) => ({ up: 1, ...mails }),
      () => ({ ...database, up: 0 }),
    )
    askedAt = sources.pool().ended
  }
  const cpuSeconds = () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000_000
  }
  const startedAt = Math.round(Date.now() / 1_000 - process.uptime())
  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  const late = () => delays.percentile(99) / 1_000_000_000
  const longest = () => delays.max / 1_000_000_000

  const sampled: [name: string, help: string, read: () => number][] = [
    ["todo_api_requests_in_flight", "Requests under way", sources.requests],
    ["todo_api_streams_in_flight", "Of those, streams of events and waits", sources.streams],
    ["todo_api_database_up", "Whether the database answered when last asked", () => database.up],
    ["todo_api_database_pool_size", "Connections to the database at most", pool("size")],
    ["todo_api_database_pool_busy", "Connections with a statement under way", pool("busy")],
    ["todo_api_database_pool_waiting", "Statements that wait for a connection", pool("waiting")],
    ["todo_api_database_pool_cancelled_total", "Statements over their limit", pool("cancelled")],
    ["todo_api_database_pool_replaced_total", "Times the database froze", pool("replaced")],
    ["todo_api_mails_waiting", "Mails that wait to be sent", () => database.waiting],
    ["todo_api_mails_failed", "Of those, mails that were refused before", () => database.failed],
    ["todo_api_event_loop_delay_p99_seconds", "99th percentile since the last scrape", late],
    ["todo_api_event_loop_delay_max_seconds", "Maximum since the last scrape", longest],
    ["process_cpu_seconds_total", "CPU time, user and system", cpuSeconds],
    ["process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss()],
    ["process_start_time_seconds", "When the process started", () => startedAt],
  ]
  if (process.platform === "linux")
    sampled.push(
      ["process_open_fds", "Open file descriptors", () => readdirSync("/proc/self/fd").length],
      ["process_max_fds", "Open file descriptors at most", openFilesLimit],
    )
  for (const [name, help, read] of sampled)
    if (name.endsWith("_total"))
      new Counter({
        ...{ name, help, registers },
        collect() {
          this.reset()
          this.inc(read())
        },
      })
    else
      new Gauge({
        ...{ name, help, registers },
        collect() {
          this.set(read())
        },
      })

  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Requests by method, route pattern and status, and how long their responses took",
    labelNames: ["method", "route", "status"],
    buckets: DURATIONS,
    registers,
  })
  const count = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers })
  const logins = count("todo_api_logins_total", "Logins by outcome", "outcome")
  const limited = count("todo_api_throttled_total", "Responses with 429, by route", "route")
  const databaseErrors = count(
    "todo_api_database_errors_total",
    "Requests that failed because of the database, by SQLSTATE or error code",
    "code",
  )

  /** Cached, because looking up labels is expensive. Bounded, because routes are patterns. */
  const observers = new Map<string, { observe(seconds: number): void }>()
  const observer = (method: string, route: string, status: number) =>
    observers.getOrInsertComputed(`${method} ${route} ${status}`, () =>
      durations.labels(method, route, String(status)),
    )

  const scrape = async ({ headers }: Request) => {
    await askDatabase()
    const text = await registry.metrics()
    delays.reset()
    return headers.get("accept")?.includes("application/openmetrics-text")
      ? new Response(toOpenMetrics(text), { headers: { "content-type": OPEN_METRICS } })
      : new Response(text, { headers: { "content-type": registry.contentType } })
  }

  return {
    /** `seconds` is undefined for a request that was to wait: its duration says nothing of the service. */
    request(method: string, route: string, status: number, seconds: number | undefined) {
      if (seconds !== undefined) observer(method, route, status).observe(seconds)
      if (status === 429) limited.inc({ route })
      const outcome = route === LOGIN && method === "POST" ? OUTCOMES[status] : undefined
      if (outcome) logins.inc({ outcome })
    },

    databaseError: (code: string) => databaseErrors.inc({ code }),

    /** Listens on its own port, because metrics are not for clients. */
    serve: (hostname: string, port: number) =>
      Bun.serve({
        hostname,
        port,
        development: false,
        routes: { "/metrics": { GET: scrape } },
        fetch: () => new Problem("NOT_FOUND", "There is only /metrics here").toResponse(),
      }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
