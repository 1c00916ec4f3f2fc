/** The log: one line a request, with nothing of what the client sent. */
import { expect, test } from "bun:test"
import { t, ValidationError } from "elysia"
import { describeError } from "../../src/log.ts"
import { program } from "../support/command.ts"
import { eventually } from "../support/live.ts"
import { createDatabase } from "../support/postgres.ts"
import { startProcess } from "../support/process.ts"
import { openSql } from "../support/sql.ts"
import { SECRET_KEY } from "../support/tokens.ts"

/** What a client sends, and must never meet in a log. */
const SECRETS = {
  email: "grace-8472@example.org",
  password: "password-8472-secret",
  title: "title-8472-secret",
  query: "query-8472-secret",
  path: "path-8472-secret",
  header: "header-8472-secret",
}

test("a request is one JSON line that tells all but what the client sent", async () => {
  await using service = await startProcess()
  const grace = await service.account(SECRETS.email, SECRETS.password)
  await grace.post("/todos", { title: SECRETS.title }, { "x-request-id": "mine" })
  await grace.post("/todos", { [SECRETS.title]: SECRETS.title })
  await grace.get(`/todos?${SECRETS.query}=${SECRETS.query}`)
  await grace.get(`/todos/${SECRETS.path}`)
  await service.call("GET", `/${SECRETS.path}/%0A{"level":"fatal"}`)
  await service.call("POST", "/api/v1/auth/login", {
    body: { email: SECRETS.email, password: `${SECRETS.password}!` },
  })
  await service.call("GET", "/health/live", {
    headers: { "x-request-id": `"},{"${SECRETS.header}`, cookie: SECRETS.header },
  })
  await service.call("GET", "/api/v1/todos", {
    headers: { authorization: `Bearer ${SECRETS.header}` },
  })
  await service.stop()
  const log = await service.log()
  for (const secret of Object.values(SECRETS)) expect(log).not.toContain(secret)
  expect(log).not.toContain(grace.token)
  expect(log).not.toContain(grace.refreshToken)

  const requests = (await service.lines()).filter(({ route }) => route !== undefined)
  expect(requests).toHaveLength(10)
  expect(requests.find(({ request_id }) => request_id === "mine")).toEqual({
    level: "info",
    time: expect.any(Number),
    request_id: "mine",
    method: "POST",
    route: "/api/v1/todos",
    status: 201,
    duration_ms: expect.any(Number),
    user_id: grace.id,
  })
  expect(requests.map(({ route, status }) => `${status} ${route}`)).toEqual([
    "201 /api/v1/auth/register",
    "200 /api/v1/auth/login",
    "201 /api/v1/todos",
    "400 /api/v1/todos",
    "400 /api/v1/todos",
    "404 /api/v1/todos/:id",
    "404 none",
    "401 /api/v1/auth/login",
    "200 /health/live",
    "401 /api/v1/todos",
  ])
  for (const { duration_ms } of requests) expect(duration_ms).toBeLessThan(60_000)
})

test("the line of a request names the trace that it belongs to, and nothing that is none", async () => {
  await using service = await startProcess()
  const [trace, span] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
  const valid = [`00-${trace}-${span}-01`, `01-${trace}-${span}-01`, `fe-${trace}-${span}-01-more`]
  const sent = [
    ...valid,
    `ff-${trace}-${span}-01`,
    `00-${trace}-${span}-01-more`,
    `01-${trace}-${span}-01more`,
    `00-${trace}-${span}`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    '00-"},{"-01',
  ]
  for (const traceparent of sent)
    await service.call("GET", "/health/live", { headers: { traceparent } })
  await service.stop()
  const lines = (await service.lines()).filter(({ route }) => route === "/health/live")
  expect(lines.map(({ trace_id, span_id }) => [trace_id, span_id])).toEqual([
    ...valid.map(() => [trace, span]),
    ...sent.slice(valid.length).map(() => [undefined, undefined]),
  ])
})

test("an error is told with its cause and stack, and without what it quotes", async () => {
  const { url, drop } = await createDatabase()
  const sql = openSql(url)
  const failed = await sql`select ${SECRETS.title}::text::integer`.catch((error) => error)
  await sql`create table strict (title text check (title = ''))`
  const broken = await sql`insert into strict (title) values (${SECRETS.title})`.catch(
    (error) => error,
  )
  await sql.end()
  await drop()
  const invalid = new ValidationError("response", t.Object({}), { title: SECRETS.title })
  const told = [failed, broken, invalid].map((cause) =>
    describeError(new Error("outer", { cause })),
  )
  expect(JSON.stringify(told)).not.toContain(SECRETS.title)
  expect(told).toMatchObject([
    {
      message: "outer",
      stack: expect.stringMatching(/^at /),
      cause: { code: "22P02", type: "PostgresError" },
    },
    { cause: { code: "23514", constraint: "strict_title_check", table: "strict" } },
    { cause: { message: "the response breaks its schema" } },
  ])
})

test("on a terminal a person can read it", async () => {
  const { url, drop } = await createDatabase()
  let screen = ""
  const data = (_: unknown, bytes: Uint8Array) => {
    screen += new TextDecoder().decode(bytes)
  }
  const service = Bun.spawn([...program, "serve"], {
    cwd: "/",
    env: { SECRET_KEY, PORT: "0", DATABASE_URL: url },
    terminal: { cols: 200, rows: 50, data },
  })
  // The last of what it says: a terminal may show the lines of one message one by one.
  await eventually(() => screen.includes("Ctrl-C"))
  const found = /listens on (http\S+),/.exec(screen)?.[1] ?? ""
  expect(screen).toContain(`its documentation is at ${found}/docs`)
  expect(screen).toMatch(/Data: {2}in the database that DATABASE_URL names\s+Stop: {2}Ctrl-C/)
  await fetch(`${found}/health/live`)
  service.kill("SIGTERM")
  expect(await service.exited).toBe(0)
  const line = /^\d\d:\d\d:\d\d\.\d{3} INFO {2}200 GET \/health\/live \d+\.?\d* ms \{"request_id":/m
  // Of the last that was written one may hear later than of the end.
  await eventually(() => line.test(screen))
  await drop()
})
