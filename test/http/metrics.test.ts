/** Metrics, on a listener of their own. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { createMetrics } from "../../src/http/metrics.ts"
import { startApp } from "../support/app.ts"

const scrape = async (url = "") => (await fetch(url)).text()

test("metrics count requests by method, route pattern and status, on a listener of their own", async () => {
  await using app = await startApp({ METRICS_PORT: "0" })
  const ada = await app.account()
  for (const id of [1, 2, 3]) await ada.get(`/todos/${id}`)
  for (const path of ["/a", "/b"]) await app.call("GET", path)
  await app.call("POST", "/api/v1/auth/login", { body: { email: ada.email, password: "wrong" } })
  const text = await scrape(app.metricsUrl)
  for (const sample of [
    'http_request_duration_seconds_count{method="GET",route="/api/v1/todos/:id",status="404"} 3',
    'http_request_duration_seconds_count{method="GET",route="none",status="404"} 2',
    'todo_api_logins_total{outcome="success"} 1',
    'todo_api_logins_total{outcome="wrong_credentials"} 1',
    "todo_api_database_pool_size 10",
  ])
    expect(text).toContain(`${sample}\n`)
  // Until none of the jobs in the background asks anything.
  while (!(await scrape(app.metricsUrl)).includes("todo_api_database_pool_busy 0\n"))
    await Bun.sleep(10)
  for (const sample of [
    /^todo_api_build_info\{version="[\d.]+",commit="[^"]+",bun="[\d.]+"\} 1$/m,
    /^todo_api_event_loop_delay_p99_seconds \d/m,
    /^todo_api_requests_in_flight 0$/m,
    /^todo_api_streams_in_flight 0$/m,
    /^todo_api_database_up 1$/m,
    /^todo_api_mails_waiting 0$/m,
    /^todo_api_mails_failed 0$/m,
    /^process_resident_memory_bytes \d/m,
    /^process_cpu_seconds_total \d/m,
    /^process_open_fds \d/m,
  ])
    expect(text).toMatch(sample)
  // It is Bun.
  expect(text).not.toContain("nodejs_")
  expect((await app.call("GET", "/metrics")).status).toBe(404)
  const elsewhere = await fetch(new URL("/", app.metricsUrl))
  expect(elsewhere.status).toBe(404)
  expect(elsewhere.headers.get("content-type")).toBe("application/problem+json")
})

test("no client can make up label values", async () => {
  await using app = await startApp({ METRICS_PORT: "0" })
  for (const path of ["/x1", "/api/v1/todos/x2", "/health/live?x3"]) {
    await app.call("GET", path)
    await app.call("DELETE", path)
  }
  expect(await scrape(app.metricsUrl)).not.toMatch(/x[123]/)
})

const pool = { size: 1, busy: 0, waiting: 0, ended: 0, cancelled: 2, replaced: 3, answeredAt: 0 }
const build = { version: "1.0.0", commit: "abc" }
const sources = {
  build,
  pool: () => pool,
  requests: () => 4,
  streams: () => 3,
  mails: async () => ({ waiting: 2, failed: 1 }),
}

/** What the metrics are read as, in the format that is asked for. */
const read = async (metrics: ReturnType<typeof createMetrics>, accept = "text/plain") => {
  const server = metrics.serve("127.0.0.1", 0)
  const response = await fetch(`${server.url}metrics`, { headers: { accept } })
  const text = await response.text()
  await server.stop(true)
  return { text, type: response.headers.get("content-type") }
}

test("database errors and refused callers are counted", async () => {
  const metrics = createMetrics(sources)
  metrics.databaseError("57P01")
  metrics.request("POST", "/api/v1/auth/login", 429, 0.001)
  const { text } = await read(metrics)
  expect(text).toContain('todo_api_database_errors_total{code="57P01"} 1')
  expect(text).toContain('todo_api_throttled_total{route="/api/v1/auth/login"} 1')
  expect(text).toContain("todo_api_database_pool_cancelled_total 2\n")
  expect(text).toContain("todo_api_mails_failed 1\n")
})

// Debian's package prometheus has it; the suite passes without.
const hasPromtool = Bun.which("promtool") !== null

test.if(hasPromtool)(
  "promtool finds nothing wrong, and OpenMetrics comes where it is asked for",
  async () => {
    const metrics = createMetrics(sources)
    metrics.request("GET", "/api/v1/todos/:id", 200, 0.001)
    const { text } = await read(metrics)
    const promtool = Bun.spawnSync(["promtool", "check", "metrics"], { stdin: Buffer.from(text) })
    expect(promtool.stdout.toString() + promtool.stderr.toString()).toBe("")
    expect(promtool.exitCode).toBe(0)
    const open = await read(metrics, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    expect(open.type).toStartWith("application/openmetrics-text; version=1.0.0")
    expect(open.text).toContain("# TYPE todo_api_database_pool_cancelled counter\n")
    expect(open.text).toContain("todo_api_database_pool_cancelled_total 2\n")
    expect(open.text).toEndWith("\n# EOF\n")
    expect(open.text).not.toContain("\n\n")
    // A counter of one format is one of the other, too, in whichever order they are asked for.
    expect((await read(metrics)).text).toContain(
      "# TYPE todo_api_database_pool_cancelled_total counter\n",
    )
  },
)

test("a scrape wakes no database that sleeps, and tells of one that is away", async () => {
  let asked = 0
  let isAway = false
  const state = { ...pool }
  const metrics = createMetrics({
    ...sources,
    pool: () => state,
    mails: async () => {
      asked++
      if (isAway) throw new Error("away")
      return { waiting: 0, failed: 0 }
    },
  })
  for (let n = 0; n < 3; n++) await read(metrics)
  expect(asked).toBe(1)
  state.ended++
  isAway = true
  expect((await read(metrics)).text).toContain("todo_api_database_up 0\n")
  isAway = false
  expect((await read(metrics)).text).toContain("todo_api_database_up 1\n")
  expect(asked).toBe(3)
})

test("the seconds for which a request was to wait are not counted as its duration", async () => {
  await using app = await startApp({ METRICS_PORT: "0" })
  const ada = await app.user()
  const { body } = await ada.get("/todos/changes")
  await ada.get(`/todos/changes?since=${(body as { next: string }).next}`, { prefer: "wait=1" })
  const text = await scrape(app.metricsUrl)
  expect(text).toContain('_count{method="GET",route="/api/v1/todos/changes",status="200"} 1\n')
})

test.if(hasPromtool)(
  "each alert fires where it should and only there, by metrics that there are",
  async () => {
    const promtool = Bun.spawnSync([
      "promtool",
      "test",
      "rules",
      join(import.meta.dir, "alerts.yml"),
    ])
    expect(promtool.stdout.toString() + promtool.stderr.toString()).toContain("SUCCESS")
    expect(promtool.exitCode).toBe(0)
    const metrics = createMetrics(sources)
    metrics.request("POST", "/api/v1/auth/login", 401, 0.001)
    const { text } = await read(metrics)
    const rules = await Bun.file(join(import.meta.dir, "../../.deploy/alerts.yml")).text()
    const names = new Set(rules.match(/\b(?:todo_api|http|process)_\w+/g))
    expect(names.size).toBeGreaterThan(8)
    for (const name of names) expect(text).toMatch(new RegExp(`^${name}[ {]`, "m"))
  },
)
