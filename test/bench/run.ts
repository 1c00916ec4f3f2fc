/** `bun run bench`: what each operation costs todo-api, the floor, and what a user would pick instead. */
import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, cpus, tmpdir } from "node:os"
import { join } from "node:path"
import elysia from "elysia/package.json"
import { compareAnswers } from "./answers.ts"
import { COLLECTION, HOARD, HOARDER, signToken, startDatabase } from "./data.ts"
import { drive } from "./load.ts"
import { type Operation, operations, serialize, takeNumbers } from "./operations.ts"
import { median, spread, table } from "./report.ts"
import { installPackages, type Server, startServer } from "./servers.ts"

const setting = (name: string, fallback: number) => Number(process.env[name] ?? fallback)
const ROUNDS = setting("BENCH_ROUNDS", 3)
const SECONDS = setting("BENCH_SECONDS", 2)
/** When the JIT compilers are done with an operation, or it takes too long to wait for them. */
const WARM_UP = { requests: setting("BENCH_WARM_UP_REQUESTS", 60_000), rounds: 10 }
const CONNECTIONS = setting("BENCH_CONNECTIONS", 32)
/** A part of an operation's name. */
const ONLY = process.env["BENCH_ONLY"] ?? ""
/** More requests a second than any server here answers. */
const FASTEST = 30_000

await using database = await startDatabase(HOARD, COLLECTION)
installPackages()
const ours = await startServer("todo-api", database.url, {
  LOG_LEVEL: process.env["LOG_LEVEL"] ?? "info",
})
const floor = await startServer("floor", database.url)
const rivals = [await startServer("Hono", database.url), await startServer("Fastify", database.url)]
const cheapest404 = await startServer("Elysia 404", database.url)
const directory = mkdtempSync(join(tmpdir(), "todo-api-bench-requests-"))

/** The place before the last pages, as a client comes to it. */
const walkToTheEnd = async () => {
  const headers = { authorization: `Bearer ${signToken(HOARDER)}` }
  let last = ""
  for (let path = "/api/v1/todos?limit=1000"; ; ) {
    const response = await fetch(ours.url + path, { headers })
    await response.arrayBuffer()
    const next = response.headers.get("link")?.match(/<(.+)>/)?.[1]
    if (next === undefined) return last
    path = next
    last = new URL(next, ours.url).searchParams.get("cursor") ?? last
  }
}

const measure = async (server: Server, operation: Operation, seconds: number) => {
  const file = join(directory, "requests")
  await Bun.write(file, operation.requests.map(serialize).join("\0"))
  const count = seconds * FASTEST
  const firstNumber = takeNumbers(count)
  if (operation.needsTodos) await database.addTodos(firstNumber, count)
  const { connections = CONNECTIONS } = operation
  const load = { file, firstNumber, connections, seconds }
  const before = await database.cpuTimes()
  const measured = await drive(server.url, [server.pid], load)
  let spent = 0
  for (const [pid, time] of await database.cpuTimes()) spent += time - (before.get(pid) ?? 0)
  const expectedRefusals = operation.status < 400 ? 0 : measured.requests
  if (measured.refused !== expectedRefusals)
    throw new Error(`${operation.name}: ${server.name} refused ${measured.refused} requests`)
  return { ...measured, databaseCpu: (spent * 1000) / measured.requests }
}
type Result = Awaited<ReturnType<typeof measure>>

const warmUp = async (server: Server, operation: Operation) => {
  let sent = 0
  for (let round = 0; round < WARM_UP.rounds && sent < WARM_UP.requests; round++)
    sent += (await measure(server, operation, SECONDS)).requests
}

/** A B A B: whatever the machine does meanwhile, it does to all of them. */
const compete = async (operation: Operation, servers: Server[]) => {
  const results = new Map<Server, Result[]>(servers.map((server) => [server, []]))
  for (const server of servers) await warmUp(server, operation)
  for (let round = 0; round < ROUNDS; round++)
    for (const [server, measured] of results)
      measured.push(await measure(server, operation, SECONDS))
  return results
}

const rows = (operation: Operation, results: Map<Server, Result[]>) => {
  const floors = results.get(floor) ?? []
  return [...results].map(([server, measured]) => {
    const middle = (of: keyof Result) => median(measured.map((one) => one[of]))
    const ratios = measured.map(({ cpu }, round) => cpu / (floors[round]?.cpu ?? Number.NaN))
    return {
      operation: operation.name,
      server: server.name,
      "requests/s": middle("perSecond").toFixed(0),
      "p50 ms": middle("p50").toFixed(2),
      "p99 ms": middle("p99").toFixed(2),
      "CPU µs/request": middle("cpu").toFixed(1),
      "Postgres µs/request": middle("databaseCpu").toFixed(1),
      "CPU ÷ floor": server === floor ? "1" : spread(ratios),
      "memory MiB": middle("memory").toFixed(0),
    }
  })
}

const measured: Record<string, string>[] = []
try {
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores; Bun ${Bun.version}, elysia ${elysia.version}; ` +
      `${ROUNDS} rounds of ${SECONDS} s, ${CONNECTIONS} connections\n`,
  )
  const selected = operations(await walkToTheEnd()).filter(({ name }) => name.includes(ONLY))
  for (const operation of selected)
    await compareAnswers(
      operation,
      ours,
      operation.isCommon ? [floor, ...rivals] : [floor],
      database.addTodos,
    )
  for (const operation of selected) {
    const servers = [floor, ours, ...(operation.isCommon ? rivals : [])]
    if (operation.status === 401) servers.push(cheapest404)
    measured.push(...rows(operation, await compete(operation, servers)))
    console.error(`${operation.name}: measured`)
  }
} finally {
  console.log(table(measured))
  for (const server of [ours, floor, ...rivals, cheapest404]) await server.stop()
  rmSync(directory, { recursive: true, force: true })
}
