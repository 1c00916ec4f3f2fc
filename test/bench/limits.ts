/**
 * `bun run bench:limits`: what a mean does not show. Latency when the server is not saturated,
 * memory over very many requests, and what a second process on the same port adds.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startDatabase } from "./data.ts"
import { drive, type Load } from "./load.ts"
import { operations, serialize } from "./operations.ts"
import { median, table } from "./report.ts"
import { startServer } from "./servers.ts"

const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5)
const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 3)
const REQUESTS = Number(process.env["BENCH_REQUESTS"] ?? 1_000_000)
/** More than keep a server busy, so that each of them waits longer than a request takes. */
const RELAXED_CONNECTIONS = 128

const directory = mkdtempSync(join(tmpdir(), "todo-api-bench-requests-"))
const file = join(directory, "requests")
const [getById] = operations("")
await Bun.write(file, getById?.requests.map(serialize).join("\0") ?? "")
const load: Load = { file, firstNumber: 0, connections: 32, seconds: SECONDS }

await using database = await startDatabase(0)
const floor = await startServer("floor", database.url)
const ours = await startServer("todo-api", database.url)

const latency = async () => {
  const capacities = []
  for (const { url, pid } of [floor, ours]) {
    await drive(url, [pid], load)
    capacities.push((await drive(url, [pid], load)).perSecond)
  }
  const rate = 0.8 * Math.min(...capacities)
  const pauseMs = (RELAXED_CONNECTIONS / rate) * 1_000
  const found = { floor: [] as number[], "todo-api": [] as number[] }
  const relaxed = { ...load, connections: RELAXED_CONNECTIONS, pauseMs }
  for (let round = 0; round < ROUNDS; round++) {
    found.floor.push((await drive(floor.url, [floor.pid], relaxed)).p99)
    found["todo-api"].push((await drive(ours.url, [ours.pid], relaxed)).p99)
  }
  return table(
    Object.entries(found).map(([server, p99s]) => ({
      server,
      "requests/s (80 % of the slower one's most)": rate.toFixed(0),
      "p99 ms": median(p99s).toFixed(2),
    })),
  )
}

const memory = async () => {
  const rows = []
  let sent = 0
  for (let next = 0; sent < REQUESTS; ) {
    const { requests, memory } = await drive(ours.url, [ours.pid], load)
    sent += requests
    if (sent < next) continue
    rows.push({ requests: String(sent), "memory MiB": memory.toFixed(0) })
    next = sent + REQUESTS / 10
  }
  return table(rows)
}

const processes = async () => {
  const REUSE_PORT = "true"
  const one = await startServer("todo-api", database.url, { REUSE_PORT })
  await drive(one.url, [one.pid], load)
  const alone = (await drive(one.url, [one.pid], load)).perSecond
  const PORT = new URL(one.url).port
  const two = await startServer("todo-api", database.url, { REUSE_PORT, PORT })
  // Long enough for the second one to have started and warmed up too.
  await drive(one.url, [one.pid, two.pid], load)
  const together = (await drive(one.url, [one.pid, two.pid], load)).perSecond
  for (const server of [one, two]) await server.stop()
  return table([
    { processes: "1", "requests/s": alone.toFixed(0), ratio: "1" },
    { processes: "2", "requests/s": together.toFixed(0), ratio: (together / alone).toFixed(2) },
  ])
}

try {
  console.log(await latency())
  console.log(await processes())
  console.log(await memory())
} finally {
  for (const server of [floor, ours]) await server.stop()
  rmSync(directory, { recursive: true, force: true })
}
