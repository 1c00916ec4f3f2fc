/**
 * `bun run bench:events`: many streams of one process. Memory for each, CPU while nothing happens,
 * and the time until all have been told of a commit of another instance.
 */
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import postgres from "postgres"
import { connectionOptions } from "../../src/config/database-url.ts"
import { insertTodos } from "../support/rows.ts"
import { signToken, startDatabase } from "./data.ts"
import { table } from "./report.ts"
import { startServer } from "./servers.ts"

const STREAMS = Number(process.env["BENCH_STREAMS"] ?? 10_000)
const STREAMS_PER_USER = 20
const IDLE_SECONDS = 20
/** Connections that are opened at once. */
const OPENING = 200

const memory = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

/** Seconds of CPU so far. A clock tick is a hundredth of a second. */
const cpu = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

let told = 0

/** Resolves with the first event. A raw socket, so that the reader costs next to nothing. */
const open = (port: number, token: string) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write(
        "GET /api/v1/todos/events HTTP/1.1\r\nHost: localhost\r\n" +
          `Authorization: Bearer ${token}\r\n\r\n`,
      ),
    )
    socket.on("error", reject)
    socket.on("data", (bytes) => {
      if (!bytes.includes("event: state")) return
      told++
      resolve()
    })
  })

const database = await startDatabase(0)
const sql = postgres({ ...connectionOptions(database.url), max: 1 })
const users = Array.from({ length: STREAMS / STREAMS_PER_USER }, (_, i) => i + 1)
const server = await startServer("todo-api", database.url)
try {
  const port = Number(new URL(server.url).port)
  // Whatever the first one loads is not counted.
  await open(port, signToken(users.length + 1))
  const before = memory(server.pid)
  for (let opened = 0; opened < STREAMS; opened += OPENING)
    await Promise.all(
      Array.from({ length: OPENING }, (_, i) =>
        open(port, signToken(users[(opened + i) % users.length] ?? 1)),
      ),
    )
  const each = ((memory(server.pid) - before) * 1024) / STREAMS

  const usedBefore = cpu(server.pid)
  await Bun.sleep(IDLE_SECONDS * 1_000)
  const idle = (cpu(server.pid) - usedBefore) / IDLE_SECONDS

  const toldBefore = told
  // As another instance would: one commit that changes a todo of each.
  await insertTodos(sql, "title", `select unnest(array[${users}]), 'another'`)
  const committed = performance.now()
  while (told - toldBefore < STREAMS) await Bun.sleep(1)
  const milliseconds = performance.now() - committed

  console.log(
    table([
      {
        streams: String(STREAMS),
        "memory of one": `${each.toFixed(1)} KiB`,
        "CPU while nothing happens": `${(idle * 100).toFixed(1)} % of a core`,
        "until all were told": `${milliseconds.toFixed(0)} ms`,
      },
    ]),
  )
} finally {
  await sql.end()
  await server.stop()
  await database[Symbol.asyncDispose]()
}
process.exit(0)
