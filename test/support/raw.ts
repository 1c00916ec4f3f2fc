/** Bytes to a server, and the bytes that it answers: for requests that no HTTP client would send. */
import { connect } from "node:net"

export const openRaw = (url: string) => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let received = ""
  let isClosed = false
  const { promise: answered, resolve: isAnswered } = Promise.withResolvers<void>()
  socket.on("data", (bytes) => {
    received += bytes
    isAnswered()
  })
  socket.on("error", () => {})
  const closed = new Promise<void>((resolve) => {
    socket.on("close", () => {
      isClosed = true
      isAnswered()
      resolve()
    })
  })
  return {
    send: (bytes: string | Uint8Array) => new Promise((resolve) => socket.write(bytes, resolve)),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    closed,
    /** Resolves when an answer begins, or the connection is closed: of several in the order of these. */
    answered,
    get received() {
      return received
    },
    /** Resolves to the statuses when there are as many answers, or the connection is closed. */
    async statuses(count: number): Promise<number[]> {
      const found = () => [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, s]) => Number(s))
      while (found().length < count && !isClosed) await Bun.sleep(5)
      return found()
    },
  }
}

/**
 * The service has looked several times since for clients that have left, which it does every 100 ms: answers
 * say that it runs, however busy the machine is.
 */
export const untilItHasLooked = async (url: string) => {
  for (let n = 0; n < 6; n++) {
    await Bun.sleep(50)
    await fetch(`${url}/health/live`)
  }
}

/** One request as it is written, with what belongs into every one. */
export const rawRequest = (line: string, headers: Record<string, string> = {}, body = "") =>
  [
    `${line} HTTP/1.1`,
    ...Object.entries({ Host: "localhost", ...headers }).map(([k, v]) => `${k}: ${v}`),
    "",
    body,
  ].join("\r\n")
