/** Metrics, on a listener of their own. */
import { expect, test } from "bun:test"
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
  expect(text).toMatch(/nodejs_eventloop_lag_p99_seconds \d/)
  expect(text).toMatch(/process_resident_memory_bytes \d/)
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

test("database errors and refused callers are counted", async () => {
  const metrics = createMetrics(() => ({
    size: 1,
    busy: 0,
    waiting: 0,
    ended: 0,
    cancelled: 0,
    replaced: 0,
  }))
  metrics.databaseError("57P01")
  metrics.request("POST", "/api/v1/auth/login", 429, 0.001)
  const server = metrics.serve("127.0.0.1", 0)
  const text = await scrape(`${server.url}metrics`)
  expect(text).toContain('todo_api_database_errors_total{code="57P01"} 1')
  expect(text).toContain('todo_api_throttled_total{route="/api/v1/auth/login"} 1')
  await server.stop(true)
})
