/** Ports for servers that a test starts again, or that have to be named before they listen. */
import { randomInt } from "node:crypto"

/** Below those that outgoing connections are given: between two starts nobody else takes it. */
const FIRST = 10_000
const LAST = 30_000

/** Between two starts another test could choose it, too: the kernel keeps it for this process, until it ends. */
const reserve = (port: number) => {
  if (process.platform !== "linux") return
  Bun.listen({ unix: `\0todo-api-test-port-${port}`, socket: { data() {} } }).unref()
}

export const freePort = (): number => {
  const port = randomInt(FIRST, LAST)
  try {
    reserve(port)
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop()
    return port
  } catch {
    return freePort()
  }
}
