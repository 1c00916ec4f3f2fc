/** Metrics for Prometheus, named as in https://prometheus.io/docs/practices/naming/ */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client"
import type { PoolState } from "../database/sql.ts"
import { Problem } from "./problem.ts"

/** Seconds, from a cached answer to beyond the time limit of a statement. */
const DURATIONS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const LOGIN = "/api/v1/auth/login"

const loginOutcome = (status: number) =>
  status === 200 ? "success" : status === 401 ? "wrong_credentials" : undefined

type Observe = { observe(seconds: number): void }

const poolMeasures: [keyof PoolState, string][] = [
  ["size", "Connections to the database at most"],
  ["busy", "Connections with a statement under way"],
  ["waiting", "Statements that wait for a connection"],
  ["cancelled", "Statements that ran into their time limit, since the start"],
  [
    "replaced",
    "Times that all connections were given up: the database was frozen, or another host took over",
  ],
]

export const createMetrics = (poolState: () => PoolState) => {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  for (const [name, help] of poolMeasures)
    new Gauge({
      name: `todo_api_database_pool_${name}`,
      help,
      registers,
      collect() {
        this.set(poolState()[name])
      },
    })

  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Requests by method, route pattern and status, and how long their answers took",
    labelNames: ["method", "route", "status"],
    buckets: DURATIONS,
    registers,
  })
  const logins = new Counter({
    name: "todo_api_logins_total",
    help: "Logins by outcome",
    labelNames: ["outcome"],
    registers,
  })
  const throttled = new Counter({
    name: "todo_api_throttled_total",
    help: "Requests that were answered with 429, by route pattern",
    labelNames: ["route"],
    registers,
  })
  const databaseErrors = new Counter({
    name: "todo_api_database_errors_total",
    help: "Requests that failed because of the database, by SQLSTATE or error code",
    labelNames: ["code"],
    registers,
  })

  /** Cached, because looking up labels is expensive. Bounded, because routes are patterns. */
  const observers = new Map<string, Observe>()
  const observer = (method: string, route: string, status: number): Observe => {
    const key = `${method} ${route} ${status}`
    const known = observers.get(key)
    if (known) return known
    const made = durations.labels(method, route, String(status))
    observers.set(key, made)
    return made
  }

  return {
    request(method: string, route: string, status: number, seconds: number) {
      observer(method, route, status).observe(seconds)
      if (status === 429) throttled.inc({ route })
      const outcome = route === LOGIN && method === "POST" ? loginOutcome(status) : undefined
      if (outcome) logins.inc({ outcome })
    },

    databaseError: (code: string) => databaseErrors.inc({ code }),

    /** Listens on its own port, because metrics are not for clients. */
    serve: (hostname: string, port: number) =>
      Bun.serve({
        hostname,
        port,
        development: false,
        routes: {
          "/metrics": {
            GET: async () =>
              new Response(await registry.metrics(), {
                headers: { "content-type": registry.contentType },
              }),
          },
        },
        fetch: () => new Problem("NOT_FOUND", "There is only /metrics here").toResponse(),
      }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
