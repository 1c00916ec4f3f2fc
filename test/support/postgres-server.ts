/** A server that speaks as much of Postgres' protocol as a statement needs, and breaks off at will. */
import { createServer, type Socket } from "node:net"

const message = (type: string, body: Uint8Array = new Uint8Array()) => {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}
const text = (value: string) => Buffer.from(`${value}\0`)

const authenticated = message("R", Buffer.alloc(4))
const idle = message("Z", Buffer.from("I"))
/** What the driver asks of a statement at once: parse, describe, bind, execute. */
const executed = [
  message("1"),
  message("t", Buffer.alloc(2)),
  message("n"),
  message("2"),
  message("C", text("SELECT 0")),
  idle,
]

/** To a query of the simple protocol, such as "begin". */
const done = (command: string) => Buffer.concat([message("C", text(command)), idle])

export const answers = {
  start: Buffer.concat([authenticated, idle]),
  statement: Buffer.concat(executed),
  begin: done("BEGIN"),
  rollback: done("ROLLBACK"),
  failed: Buffer.concat([
    message("E", text("SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0")),
    message("Z", Buffer.from("E")),
  ]),
  starting: message("E", text("SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0")),
}

/** Calls `serve` with each thing that a client says: it started, or sent a query or a statement. */
export const startPostgresServer = async (
  serve: (socket: Socket, said: "start" | "query" | "statement", connection: number) => void,
) => {
  let connections = 0
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    const connection = ++connections
    open.add(socket)
    socket.on("close", () => open.delete(socket))
    // A client that resets its connection is one of the cases here.
    socket.on("error", () => {})
    let isStarted = false
    let unread: Buffer = Buffer.alloc(0)
    socket.on("data", (data) => {
      if (!isStarted) {
        isStarted = true
        serve(socket, "start", connection)
        return
      }
      unread = Buffer.concat([unread, data])
      while (unread.length > 4 && unread.length > unread.readInt32BE(1)) {
        const type = String.fromCharCode(unread[0] ?? 0)
        unread = unread.subarray(1 + unread.readInt32BE(1))
        if (type === "Q") serve(socket, "query", connection)
        // What is asked of a statement ends with a "sync".
        if (type === "S") serve(socket, "statement", connection)
      }
    })
  })
  const { promise: listening, resolve } = Promise.withResolvers<void>()
  server.listen(0, "127.0.0.1", resolve)
  await listening
  const { port } = server.address() as { port: number }
  return {
    url: `postgres://todo@127.0.0.1:${port}/todo`,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}
