/**
 * Postgres behind a proxy that cuts, delays, splits and forgets, by seeds: every answer is the answer to its
 * own statement, what was answered is in the table, what failed is not there twice, nothing hangs, and no
 * connection or memory is left. A seed is repeated by: bun test/support/fuzz/run.ts SEED
 */
import { expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { createServer, connect as openSocket, type Socket } from "node:net"
import { planOf } from "../support/fuzz/plan.ts"
import { startProxy } from "../support/fuzz/proxy.ts"
import { runSeeds } from "../support/fuzz/run.ts"
import { createRandom, type Random } from "../support/simulation/random.ts"

const SEEDS = Number(process.env["TEST_ROUNDS"] ?? 300)
const FIRST = Number(process.env["TEST_SEED"] ?? 0)

/** A typed message of the protocol, or one that starts a connection. */
const messageBy = (random: Random, type: string) => {
  const length = random.below(random.chance(0.1) ? 70_000 : 300)
  const body = Buffer.from(Array.from({ length }, () => random.below(256)))
  const head = Buffer.alloc(type.length + 4)
  head.write(type)
  head.writeInt32BE(body.length + 4, type.length)
  return Buffer.concat([head, body])
}

const TLS_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/** All that comes. */
const receive = (socket: Socket) => {
  const chunks: Buffer[] = []
  socket.on("data", (chunk: Buffer) => chunks.push(chunk))
  socket.on("error", () => {})
  return () => Buffer.concat(chunks)
}

const digest = (data: Buffer) => `${data.length} ${createHash("sha256").update(data).digest("hex")}`

test("the proxy passes every byte exactly once, in pieces and late", async () => {
  const servers: Socket[] = []
  const target = createServer((socket) => void servers.push(socket))
  await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve))
  await using proxy = await startProxy({
    ...(target.address() as { port: number }),
    host: "127.0.0.1",
  })
  for (let seed = 0; seed < 50; seed++) {
    const random = createRandom(seed)
    const plan = planOf(random, false)
    for (const [place, { kind }] of plan.faults) if (kind !== "delay") plan.faults.delete(place)
    proxy.use([plan])
    const asked = [
      seed % 5 === 0 ? TLS_REQUEST : messageBy(random, ""),
      ...Array.from("QBESPdX", (type) => messageBy(random, type)),
    ]
    const answered = Array.from("RSKZTDDCZ", (type) => messageBy(random, type))
    const client = openSocket(proxy.port, "127.0.0.1")
    const atClient = receive(client)
    for (const message of asked) client.write(message)
    while (servers.length <= seed) await Bun.sleep(1)
    const server = servers[seed] as Socket
    const atServer = receive(server)
    for (const message of answered) server.write(message)
    const sent = Buffer.concat([...asked, ...answered]).length
    const deadline = performance.now() + 60_000
    while (atClient().length + atServer().length < sent && performance.now() < deadline)
      await Bun.sleep(5)
    // More would come now.
    await Bun.sleep(5)
    expect([seed, digest(atServer())]).toEqual([seed, digest(Buffer.concat(asked))])
    expect([seed, digest(atClient())]).toEqual([seed, digest(Buffer.concat(answered))])
    client.destroy()
    server.destroy()
  }
  target.close()
})

test(`nothing goes wrong in silence, in ${SEEDS} seeds`, async () => {
  const problems: string[] = []
  const seeds = Array.from({ length: SEEDS }, (_, index) => FIRST + index)
  await runSeeds(seeds, (seed, problem) => problems.push(`seed ${seed}: ${problem}`))
  expect(problems).toEqual([])
}, 1_800_000)
