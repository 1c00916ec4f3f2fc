/** `bun run bench:batch`: what a batch of 100 creates takes, beside one create. */
import { signToken, startDatabase } from "./data.ts"
import { median, table } from "./report.ts"
import { startServer } from "./servers.ts"

const ROUNDS = Number(process.env["BENCH_ROUNDS"] ?? 200)
const OPERATIONS = 100

await using database = await startDatabase(0)
const server = await startServer("todo-api", database.url)
try {
  const headers = { authorization: `Bearer ${signToken(1)}`, "content-type": "application/json" }
  const time = async (path: string, body: unknown) => {
    const started = performance.now()
    const answer = await fetch(`${server.url}/api/v1${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    })
    await answer.bytes()
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
    return performance.now() - started
  }
  const todo = { title: "Buy milk", description: "Two litres, and oats" }
  const keyed = (round: number) =>
    Array.from({ length: OPERATIONS }, (_, i) => ({ op: "create", todo, key: `${round}-${i}` }))
  const plain = Array.from({ length: OPERATIONS }, () => ({ op: "create", todo }))
  const times = { one: [] as number[], batch: [] as number[], "batch with keys": [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    times.one.push(await time("/todos", todo))
    times.batch.push(await time("/todos/batch", { operations: plain }))
    times["batch with keys"].push(await time("/todos/batch", { operations: keyed(round) }))
  }
  const one = median(times.one)
  console.log(
    table(
      Object.entries(times).map(([name, all]) => ({
        request: name === "one" ? "one create" : `${name}, ${OPERATIONS} creates`,
        "median ms": median(all).toFixed(2),
        "÷ one create": (median(all) / one).toFixed(1),
      })),
    ),
  )
} finally {
  await server.stop()
}
process.exit(0)
