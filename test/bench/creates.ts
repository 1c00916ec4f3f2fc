/**
 * `bun run bench:creates`: 100,000 creates by 64 workers, one by one and in batches of 100, and what somebody
 * else's reads take meanwhile.
 */
import { join } from "node:path"
import type { Creates } from "./creates-load.ts"
import { signToken, startDatabase, todoId, USERS } from "./data.ts"
import { cpuTime } from "./load.ts"
import { percentile, table } from "./report.ts"
import { type Server, startServer } from "./servers.ts"

const CREATES = Number(process.env["BENCH_CREATES"] ?? 100_000)
const WORKERS = 64
const BATCH = 100

await using database = await startDatabase(0)
const floor = await startServer("floor", database.url)
const ours = await startServer("todo-api", database.url)

const create = async ({ url }: Server, atOnce: number) => {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "creates-load.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const tokens = Array.from({ length: WORKERS }, (_, worker) => signToken(worker + 1))
  const creates: Creates = { url, tokens, count: CREATES, atOnce }
  child.stdin.write(JSON.stringify(creates))
  child.stdin.end()
  return (await child.stdout.json()) as number
}

/** Milliseconds of each read, one after the other, until the work is done. */
const readUntil = async ({ url }: Server, work: Promise<unknown>) => {
  const headers = { authorization: `Bearer ${signToken(USERS)}` }
  const times: number[] = []
  let isOver = false
  work.finally(() => {
    isOver = true
  })
  while (!isOver) {
    const started = performance.now()
    const response = await fetch(`${url}/api/v1/todos/${todoId(USERS, 1)}`, { headers })
    await response.bytes()
    if (!response.ok) throw new Error(`A read was answered with ${response.status}`)
    times.push(performance.now() - started)
    await Bun.sleep(5)
  }
  return times
}

const measure = async (server: Server, atOnce: number) => {
  const before = cpuTime(server.pid)
  const work = create(server, atOnce)
  const [seconds, times] = await Promise.all([work, readUntil(server, work)])
  const cpu = ((cpuTime(server.pid) - before) * 1_000) / CREATES
  return {
    creates: `${CREATES}, ${atOnce === 1 ? "one by one" : `in batches of ${atOnce}`}`,
    server: server.name,
    seconds: seconds.toFixed(1),
    "CPU µs/create": cpu.toFixed(1),
    ...Object.fromEntries(
      [0.5, 0.95, 0.99].map((share) => [
        `read p${share * 100} ms`,
        percentile(times, share).toFixed(2),
      ]),
    ),
  }
}

try {
  console.log(table([await measure(floor, 1), await measure(ours, 1), await measure(ours, BATCH)]))
} finally {
  for (const server of [floor, ours]) await server.stop()
}
process.exit(0)
