/**
 * What lists cost for a user with a million todos beside 1,000 users with 200: pages at both ends
 * of every order, what their statements read, and the server's memory while all is streamed.
 * Prints the README's table. Fails where a limit is broken.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SignJWT } from "jose"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { startEmbedded } from "../../src/database/embedded/start.ts"
import type { Sql } from "../../src/database/sql.ts"
import { createCursors, type Position } from "../../src/todos/lists/cursor.ts"
import { listTodos } from "../../src/todos/lists/pages.ts"
import { listOf, type Selection, type Sort } from "../../src/todos/lists/parameters.ts"
import { insertTodos } from "../support/rows.ts"
import { superuserUrl } from "../support/superuser.ts"

const SECRET_KEY = "a secret key for benchmarks, and long enough for every algorithm there is"
const HOARDER = 1
const HOARD = 1_000_000
const OTHERS = 1_000
const TODOS_EACH = 200
const PAGE = 50
const ROUNDS = 200
/** Of the last page's cost to the first page's. */
const RATIO_LIMIT = 1.3
const GROWTH_LIMIT_MIB = 64

const SORTS: Sort[] = ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"]
const FILTERS = [undefined, false, true]

const seed = async (sql: postgres.Sql) => {
  await sql`insert into users (id) select generate_series(1, ${OTHERS + 1}::integer)`
  for (const [first, owners, each] of [
    [HOARDER, 1, HOARD],
    [HOARDER + 1, OTHERS, TODOS_EACH],
  ] as const)
    await insertTodos(
      sql,
      "title, description, is_completed, created_at, updated_at",
      `select
        ${first}::bigint + n % ${owners}::integer,
        'todo ' || md5(n::text),
        repeat('What it is about. ', n % 6),
        n % 10 = 0,
        timestamptz '2026-01-01' + n * interval '1 second',
        timestamptz '2026-03-01' + (n::bigint * 7919 % 1000003) * interval '1 second'
      from generate_series(1, ${owners * each}::integer) as n`,
    )
  await sql`vacuum analyze`
}

const freePort = () => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  listener.stop()
  return listener.port
}

const serve = async (databaseUrl: string) => {
  const port = freePort()
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../src/main.ts"), "serve"], {
    env: { ...process.env, DATABASE_URL: databaseUrl, SECRET_KEY, PORT: String(port) },
    stdout: "ignore",
    stderr: "inherit",
  })
  const url = `http://127.0.0.1:${port}`
  while (child.exitCode === null) {
    const answer = await fetch(`${url}/health/ready`).catch(() => undefined)
    if (answer?.ok) return { child, url }
    await Bun.sleep(50)
  }
  throw new Error("The service did not start")
}

const residentMiB = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN

/** Where the last page begins. */
const beforeLastPage = async (sql: postgres.Sql, { sort, isCompleted }: Selection) => {
  const column = sort.replace("-", "")
  const direction = sort.startsWith("-") ? sql`asc` : sql`desc`
  const [row] = await sql<[{ key: string; id: string }]>`
    select ${sql(column)}::text as key, id
    from todos
    where owner_id = ${HOARDER}
      ${isCompleted === undefined ? sql`` : sql`and is_completed = ${isCompleted}`}
    order by ${column === "title" ? sql`title collate "C"` : sql(column)} ${direction},
      id ${direction}
    offset ${PAGE}
    limit 1`
  return { key: row.key, id: Number(row.id) }
}

type Plan = {
  "Node Type": string
  "Actual Rows": number
  "Relation Name"?: string
  "Index Name"?: string
  Plans?: Plan[]
}
const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)]

/** The plans of the service's own statement, past the runs after which Postgres reuses one. */
const explain = async (databaseUrl: string, selection: Selection, after: Position | undefined) => {
  const plans: Plan[] = []
  const sql = postgres({
    ...connectionOptions(databaseUrl),
    max: 1,
    fetch_types: false,
    onnotice: ({ message = "" }) =>
      plans.push(JSON.parse(message.slice(message.indexOf("{"))).Plan),
  })
  try {
    await sql`load 'auto_explain'`
    await sql`
      select set_config(name, value, false)
      from (values
        ('auto_explain.log_min_duration', '0'),
        ('auto_explain.log_analyze', 'on'),
        ('auto_explain.log_format', 'json'),
        ('client_min_messages', 'log')
      ) as setting (name, value)`
    plans.length = 0
    for (let run = 0; run < 8; run++)
      await listTodos(Object.assign(sql, { pipelined: sql }) as unknown as Sql, {
        ownerId: HOARDER,
        selection,
        limit: PAGE,
        after,
      })
  } finally {
    await sql.end()
  }
  const index = `todos_by_${selection.sort.replace("-", "")}`
  let rowsRead = 0
  for (const plan of plans) {
    const scans = nodes(plan).filter((node) => node["Relation Name"] === "todos")
    for (const scan of scans)
      if (scan["Node Type"] !== "Index Scan" || scan["Index Name"] !== index)
        throw new Error(`${JSON.stringify(selection)} does not read ${index} alone`)
    rowsRead = Math.max(
      rowsRead,
      scans.reduce((sum, scan) => sum + scan["Actual Rows"], 0),
    )
  }
  if (plans.length !== 8) throw new Error(`There are ${plans.length} plans instead of 8`)
  return rowsRead
}

const directory = mkdtempSync(join(tmpdir(), "todo-api-bench-"))
const database = await startEmbedded(directory)
const { child, url } = await serve(database.url)
// Nobody else may load what explains statements.
const admin = await superuserUrl(directory, database.url)
const sql = postgres({ ...connectionOptions(admin), max: 1, onnotice: () => {} })
try {
  await seed(sql)
  const token = await new SignJWT({ sub: String(HOARDER) })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1d")
    .sign(Buffer.from(SECRET_KEY))
  const headers = { authorization: `Bearer ${token}` }
  const cursors = createCursors([SECRET_KEY])

  const timed = async (query: URLSearchParams) => {
    const start = performance.now()
    const response = await fetch(`${url}/api/v1/todos?${query}`, { headers })
    const todos = (await response.json()) as unknown[]
    const time = performance.now() - start
    if (response.status !== 200 || todos.length !== PAGE)
      throw new Error(`${query}: ${response.status}, ${todos.length} todos`)
    return time
  }

  const broken: string[] = []
  const lines = [
    "| sort | filter | first page | last page | ratio | rows read |",
    "|---|---|---|---|---|---|",
  ]
  for (const isCompleted of FILTERS)
    for (const sort of SORTS) {
      const selection = { sort, isCompleted, q: undefined }
      const place = await beforeLastPage(sql, selection)
      const first = new URLSearchParams({ limit: String(PAGE), sort })
      if (isCompleted !== undefined) first.set("is_completed", String(isCompleted))
      const last = new URLSearchParams(first)
      last.set("cursor", cursors.write(place, HOARDER, listOf(selection)))
      const times: [number[], number[]] = [[], []]
      // In turn, so that whatever else the machine does meets both.
      for (let round = -20; round < ROUNDS; round++) {
        const [atFirst, atLast] = [await timed(first), await timed(last)]
        if (round < 0) continue
        times[0].push(atFirst)
        times[1].push(atLast)
      }
      const [atFirst, atLast] = [median(times[0]), median(times[1])]
      const rowsRead = Math.max(
        await explain(admin, selection, undefined),
        await explain(admin, selection, place),
      )
      const name = `${sort}${isCompleted === undefined ? "" : `, is_completed=${isCompleted}`}`
      if (atLast / atFirst > RATIO_LIMIT) broken.push(`${name}: the last page costs too much`)
      // One more row tells whether there is a next page, and merging two ranges looks one ahead.
      if (rowsRead > PAGE + 2) broken.push(`${name}: ${rowsRead} rows are read for ${PAGE}`)
      lines.push(
        `| \`${sort}\` | ${isCompleted === undefined ? "" : `\`is_completed=${isCompleted}\``} | ` +
          `${atFirst.toFixed(2)} ms | ${atLast.toFixed(2)} ms | ${(atLast / atFirst).toFixed(2)} | ` +
          `${rowsRead} |`,
      )
    }

  const before = residentMiB(child.pid)
  let most = before
  let bytes = 0
  const start = performance.now()
  const response = await fetch(`${url}/api/v1/todos`, { headers })
  let firstByte = 0
  for await (const chunk of response.body ?? []) {
    firstByte ||= performance.now() - start
    bytes += chunk.byteLength
    most = Math.max(most, residentMiB(child.pid))
  }
  const growth = most - before
  if (growth > GROWTH_LIMIT_MIB) broken.push(`streaming takes ${growth.toFixed(0)} MiB`)

  console.log(lines.join("\n"))
  console.log(
    `\nThe whole list, ${(bytes / 1e6).toFixed(0)} MB: first byte after ${firstByte.toFixed(0)} ms, ` +
      `all after ${((performance.now() - start) / 1000).toFixed(1)} s, ` +
      `the server's memory grew by ${growth.toFixed(0)} MiB.`,
  )
  const search = performance.now()
  await (await fetch(`${url}/api/v1/todos?limit=${PAGE}&q=nowhere`, { headers })).json()
  console.log(`A search that finds nothing: ${(performance.now() - search).toFixed(0)} ms.`)
  for (const limit of broken) console.error(limit)
  process.exitCode = broken.length > 0 ? 1 : 0
} finally {
  child.kill()
  await child.exited
  await sql.end()
  await database.stop()
  rmSync(directory, { recursive: true, force: true })
}
