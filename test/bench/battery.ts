/**
 * `bun run bench:battery`: what one user can do to another. For every operation the worst bodies, queries
 * and headers, legal and illegal, from 40 connections of one user; meanwhile another one gets a todo by id
 * again and again. `block` is the longest time for which the event loop did nothing else.
 */
import { join } from "node:path"
import { freePort } from "../support/ports.ts"
import { signToken, startDatabase, todoId } from "./data.ts"
import { table } from "./report.ts"
import { startServer } from "./servers.ts"

const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 3)
const CONNECTIONS = 40
/** Of the attacker: longer than one page, shorter than what takes minutes to make. */
const TODOS = 5_000
const ONLY = new RegExp(process.argv[2] ?? "")

type Row = {
  name: string
  method?: string
  path: string
  headers?: Record<string, string>
  body?: string
  isStranger?: boolean
}

const KIB = 1024
const MIB = KIB * KIB
/** As much of a text, with commas between, as fits. */
const many = (text: string, bytes: number) =>
  Array.from({ length: Math.floor(bytes / (text.length + 1)) - 2 }, () => text).join()
const names = (bytes: number) => {
  const parts: string[] = []
  for (let n = 0, size = 0; size < bytes - 20; n++) {
    parts.push(`"k${n}":0`)
    size += parts.at(-1)?.length ?? 0
    size++
  }
  return `{${parts.join()}}`
}

/** Bodies that no route takes, of the size that it reads. */
const illegal = (bytes: number): Record<string, string> => ({
  zeros: `[${many("0", bytes)}]`,
  lists: `[${many("[]", bytes)}]`,
  names: names(bytes),
  brackets: "[".repeat(bytes - 1),
  "a string": `"${"x".repeat(bytes - 8)}"`,
  "escaped string": `"${"\\n".repeat(bytes / 2 - 8)}"`,
  "a number": "1".repeat(bytes - 1),
  spaces: " ".repeat(bytes),
})

const long = "漢".repeat(999)
const operations = (make: (n: number) => object) =>
  JSON.stringify({ operations: Array.from({ length: 100 }, (_, n) => make(n)) })
const escaped = (text: string) =>
  text.replaceAll(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`)

const HEADER = 14 * KIB
const header = (name: string, value: string): Record<string, string> => ({ [name]: value })

await using database = await startDatabase(0)
const metricsPort = String(freePort())
const server = await startServer("todo-api", database.url, {
  METRICS_PORT: metricsPort,
  REGISTRATIONS_PER_HOUR: "1000000",
})
const [attacker, other] = [1, 2]
const token = signToken(attacker)
const api = `${server.url}/api/v1`
const json = { "content-type": "application/json" }
const call = async (method: string, path: string, body?: unknown) =>
  (
    await fetch(api + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...json },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  ).json() as Promise<Record<string, never>>

const create = (title: string) => ({ op: "create", todo: { title, description: long } })
for (let n = 0; n < TODOS / 100; n++)
  await call("POST", "/todos/batch", JSON.parse(operations((m) => create(`${n} ${m}`))))
const { next } = await call("GET", "/todos/changes?limit=1")

const target = `/todos/${todoId(attacker, 1)}`
const commas = many('"x"', HEADER)
const parameters = many("a=1", HEADER).replaceAll(",", "&")
const secret = "x".repeat(HEADER)

const withBodies = (method: string, path: string, bytes: number, isStranger = false): Row[] =>
  Object.entries(illegal(bytes)).map(([name, body]) => ({
    ...{ name: `${method} ${path}: ${name}`, method, path, body, isStranger },
  }))

const rows: Row[] = [
  ...withBodies("POST", "/todos/batch", MIB),
  ...withBodies("POST", "/todos", 64 * KIB),
  ...withBodies("POST", "/auth/login", 64 * KIB, true),
  ...["PUT", "PATCH"].flatMap((method) => withBodies(method, target, 64 * KIB).slice(0, 3)),
  ...["/users/me/password", "/users/me/email"].flatMap((path) =>
    withBodies("PUT", path, 64 * KIB).slice(0, 3),
  ),
  ...["/auth/register", "/auth/refresh", "/auth/password-reset", "/users/me/tokens"].flatMap(
    (path) => withBodies("POST", path, 64 * KIB, path.startsWith("/auth")).slice(2, 3),
  ),
  ...[
    ["100 long creates", operations((n) => create(`${n}`))],
    ["100 creates, escaped", escaped(operations((n) => create(`漢${n}`)))],
    [
      "100 keyed creates",
      operations((n) => ({ ...create(`${n}`), key: `${n}${"k".repeat(200)}` })),
    ],
    [
      "100 updates",
      operations((n) => ({
        op: "update",
        id: todoId(attacker, n + 1),
        todo: { title: `${Math.random()}` },
      })),
    ],
    ["100 deletions of nothing", operations((n) => ({ op: "delete", id: 2 ** 52 + n }))],
    [
      "100 failing conditions",
      operations((n) => ({
        op: "update",
        id: todoId(attacker, n + 1),
        todo: {},
        if_match: '"999"',
      })),
    ],
    [
      "100 wrong operations",
      operations((n) => ({ op: "create", todo: { titel: n, title: "x".repeat(9_000) } })),
    ],
    [
      "100 long ids",
      operations(() => ({ op: "create", todo: { title: "a", id: "1".repeat(9_000) } })),
    ],
  ].map(([name, body = ""]) => ({
    name: `batch: ${name}`,
    method: "POST",
    path: "/todos/batch",
    body,
  })),
  {
    name: "login: an email of 60 kB",
    method: "POST",
    path: "/auth/login",
    isStranger: true,
    body: JSON.stringify({ email: `${"İ".repeat(30_000)}@example.org`, password: "correct horse" }),
  },
  {
    name: "login: a wrong password",
    method: "POST",
    path: "/auth/login",
    isStranger: true,
    body: JSON.stringify({ email: "user-3@example.org", password: "wrong horse staple" }),
  },
  {
    name: "login: nobody",
    method: "POST",
    path: "/auth/login",
    isStranger: true,
    body: JSON.stringify({ email: "nobody@example.org", password: "wrong horse staple" }),
  },
  {
    name: "password: wrong",
    method: "PUT",
    path: "/users/me/password",
    body: JSON.stringify({ current_password: "wrong horse", new_password: "tractor beige lagoon" }),
  },
  {
    name: "reset: a wrong token",
    method: "POST",
    path: "/auth/password-reset",
    isStranger: true,
    body: JSON.stringify({ token: "x".repeat(43), new_password: "tractor beige lagoon" }),
  },
  {
    name: "create with a key",
    method: "POST",
    path: "/todos",
    body: JSON.stringify({ title: "a" }),
    headers: header("idempotency-key", "k".repeat(255)),
  },
  {
    name: "create with a long key",
    method: "POST",
    path: "/todos",
    body: JSON.stringify({ title: "a" }),
    headers: header("idempotency-key", secret),
  },
  { name: "list, whole", path: "/todos" },
  { name: "list, 1,000", path: "/todos?limit=1000" },
  { name: "list, 1,000 by title", path: "/todos?limit=1000&sort=-title&count=true" },
  { name: "list, 100", path: "/todos?limit=100" },
  { name: "search, nothing found", path: `/todos?q=${encodeURIComponent("漢字x".repeat(25))}` },
  { name: "search, all found", path: "/todos?q=%E6%BC%A2&limit=1000&count=true" },
  { name: "list: many parameters", path: `/todos?${parameters}` },
  { name: "list: many =", path: `/todos?q${"=".repeat(HEADER)}` },
  { name: "list: many %", path: `/todos?q=${"%F0%9F".repeat(HEADER / 6)}` },
  { name: "list: forged cursor", path: `/todos?limit=1&cursor=${secret}` },
  { name: "list: many tags", path: "/todos", headers: header("if-none-match", commas) },
  { name: "changes, all", path: "/todos/changes?limit=1000" },
  { name: "changes, 500", path: "/todos/changes" },
  { name: "changes since", path: `/todos/changes?limit=1000&since=${next}` },
  { name: "changes: forged token", path: `/todos/changes?since=${secret}` },
  {
    name: "changes: Prefer",
    path: "/todos/changes?limit=1",
    headers: header("prefer", many("wait =1x", HEADER)),
  },
  { name: "waits", path: `/todos/changes?since=${next}`, headers: header("prefer", "wait=1") },
  { name: "events", path: "/todos/events" },
  { name: "export", path: "/users/me/export" },
  { name: "get: many tags", path: target, headers: header("if-none-match", commas) },
  {
    name: "put: many tags",
    method: "PUT",
    path: target,
    body: "{}",
    headers: header("if-match", commas),
  },
  {
    name: "put: many commas",
    method: "PUT",
    path: target,
    body: "{}",
    headers: header("if-match", `${",".repeat(HEADER)}x`),
  },
  {
    name: "bearer: long",
    path: "/users/me",
    isStranger: true,
    headers: header("authorization", `Bearer ${secret}`),
  },
  {
    name: "bearer: spaces",
    path: "/users/me",
    isStranger: true,
    headers: header("authorization", `Bearer${" ".repeat(HEADER)}x`),
  },
  {
    name: "bearer: dots",
    path: "/users/me",
    isStranger: true,
    headers: header("authorization", `Bearer ${"a.".repeat(HEADER / 2)}`),
  },
  { name: "unknown path", path: `/${"x/".repeat(HEADER / 2)}`, isStranger: true },
  {
    name: "long headers",
    path: "/todos?limit=1",
    headers: {
      "x-forwarded-for": "1,".repeat(1_500),
      "user-agent": "\u200b".replace(/./, "x").repeat(2_000),
      traceparent: "0".repeat(2_000),
      "x-request-id": "y".repeat(2_000),
      origin: "z".repeat(2_000),
      cookie: "a=b;".repeat(500),
    },
  },
  {
    name: "encodings",
    path: "/../../docs",
    isStranger: true,
    headers: header("accept-encoding", many("gzip;q=0", HEADER)),
  },
  {
    name: "docs: scalar.js",
    path: "/../../docs/scalar.js",
    isStranger: true,
    headers: header("accept-encoding", "gzip"),
  },
  {
    name: "docs: openapi.json",
    path: "/../../openapi.json",
    isStranger: true,
    headers: header("accept-encoding", "gzip"),
  },
  { name: "sessions", path: "/users/me/sessions" },
  { name: "get", path: target },
]

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN

/** Gets a todo of the other user again and again until `isOver`. */
const probe = async (isOver: () => boolean) => {
  const times: number[] = []
  let failed = 0
  const url = `${api}/todos/${todoId(other, 1)}`
  const headers = { authorization: `Bearer ${signToken(other)}` }
  while (!isOver()) {
    const startedAt = performance.now()
    const response = await fetch(url, { headers })
    await response.text()
    times.push(performance.now() - startedAt)
    if (response.status !== 200) failed++
    await Bun.sleep(2)
  }
  times.sort((a, b) => a - b)
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), failed }
}

const longestBlock = async () => {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  return 1_000 * Number(/^todo_api_event_loop_delay_max_seconds (\S+)/m.exec(text)?.[1])
}

const attack = async ({ method = "GET", path, headers = {}, body, isStranger }: Row) => {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "battery-attack.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const authorization = isStranger ? {} : { authorization: `Bearer ${token}` }
  const request = {
    ...{ url: new URL(api + path).href, method, connections: CONNECTIONS, seconds: SECONDS },
    headers: { ...authorization, ...(body !== undefined && json), ...headers },
    body,
  }
  child.stdin.write(JSON.stringify(request))
  child.stdin.end()
  const statuses = await child.stdout.json()
  return Object.entries(statuses)
    .map(([status, count]) => `${count} × ${status}`)
    .join(", ")
}

const alone = await (() => {
  const until = performance.now() + SECONDS * 1_000
  return probe(() => performance.now() >= until)
})()
const figures = []
for (const row of rows.filter(({ name }) => ONLY.test(name))) {
  await longestBlock()
  let isOver = false
  const [answers, meanwhile] = await Promise.all([
    attack(row).finally(() => {
      isOver = true
    }),
    probe(() => isOver),
  ])
  const block = await longestBlock()
  const isGood =
    meanwhile.p50 < 5 && meanwhile.p50 < 10 * alone.p50 && block < 25 && !meanwhile.failed
  figures.push({
    attack: row.name,
    "p50 ms": meanwhile.p50.toFixed(2),
    "p99 ms": meanwhile.p99.toFixed(1),
    "block ms": block.toFixed(1),
    failed: String(meanwhile.failed),
    answers,
    "": isGood ? "" : "!",
  })
  process.stderr.write(`${Object.values(figures.at(-1) ?? {}).join(" | ")}\n`)
  await Bun.sleep(300)
}
console.log(`Alone: p50 ${alone.p50.toFixed(2)} ms, p99 ${alone.p99.toFixed(1)} ms.\n`)
console.log(table(figures))
await server.stop()
