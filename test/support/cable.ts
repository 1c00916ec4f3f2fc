/** A cable between a page and the service: it can be pulled, and then every connection breaks. */
import { connect, createServer, type Socket } from "node:net"

export const startCable = async (url: string) => {
  const { port, hostname } = new URL(url)
  const sockets = new Set<Socket>()
  const cable = { isPulled: false }
  const server = createServer((near) => {
    near.on("error", () => {})
    if (cable.isPulled) return near.destroy()
    const far = connect(Number(port), hostname)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on("error", () => {})
      one.on("close", () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
    return undefined
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    pull: () => {
      cable.isPulled = true
      for (const socket of sockets) socket.destroy()
    },
    plug: () => {
      cable.isPulled = false
    },
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
