/**
 * A proxy before Postgres that knows where messages begin and end. It passes every byte exactly once, except
 * where its plan says otherwise.
 */
import { createServer, type NetConnectOpts, connect as openSocket, type Socket } from "node:net"

export type Fault =
  /** The connection is cut after a part of the message, by a reset or by an end. */
  | { kind: "cut"; part: number; isReset: boolean }
  | { kind: "delay"; milliseconds: number }
  /** Before a message of the server: a notice, and a parameter that has changed. */
  | { kind: "notice" }
  /** Before a message of the server: it ends the session, as a server does that stops. */
  | { kind: "fatal" }
  /** Before a message of the client: the session forgets all, as one of a pooler, if it is idle. */
  | { kind: "forget" }

/** What happens to a connection. Faults are named by side and message: `c3`, `s0`. */
export type Plan = {
  faults: Map<string, Fault>
  /** The first short messages are sent in pieces of so many bytes. 0: whole. */
  pieces: number
  cancelDelay: number
  /** In place of the delay: what a cancel waits for. */
  cancelGate?: Promise<void>
}

const CANCEL = 80_877_102
const TLS = 80_877_103

const frame = (type: string, text: string) => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const NOTICE = Buffer.concat([
  frame("N", "SNOTICE\0VNOTICE\0C00000\0Mof the proxy\0\0"),
  frame("S", "application_name\0of the proxy\0"),
])
const FATAL = frame("E", "SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
const FORGET = frame("Q", "discard all\0")

/** Cuts a stream into whole messages. The first one of a client has no type. */
const createReader = (isClient: boolean) => {
  let unread = Buffer.alloc(0)
  let head = isClient ? 0 : 1
  return (data: Buffer): Buffer[] => {
    unread = Buffer.concat([unread, data])
    const messages: Buffer[] = []
    while (unread.length >= head + 4) {
      const length = head + unread.readInt32BE(head)
      if (unread.length < length) break
      messages.push(unread.subarray(0, length))
      unread = unread.subarray(length)
      head = 1
    }
    return messages
  }
}

/** Nothing happens. */
const CALM: Plan = { faults: new Map(), pieces: 0, cancelDelay: 0 }

export const startProxy = async (target: NetConnectOpts) => {
  const open = new Set<Socket>()
  let plans: Plan[] = []
  const used = new Set<Plan>()

  const serve = (client: Socket) => {
    const plan = plans.shift() ?? CALM
    const { faults, pieces, cancelDelay, cancelGate } = plan
    used.add(plan)
    const server = openSocket(target)
    let isCut = false
    let isClosed = false
    /** Of what it cannot read, each piece that arrives counts as a message. */
    let isTls = false
    /** What the server has still to say that it is ready for: the start, queries and syncs. */
    let pending = 1
    let isInTransaction = false
    /** How many pieces there were: each takes a turn of the event loop. */
    let cutUp = 0
    let isForgetting = false
    let progress = Promise.withResolvers<void>()

    const cut = (isReset: boolean) => {
      isCut = true
      progress.resolve()
      for (const socket of [client, server])
        if (isReset) socket.resetAndDestroy()
        else socket.destroy()
    }
    const settled = async () => {
      while (pending > 0 && !isCut && !isClosed) await progress.promise
    }
    const send = async (socket: Socket, message: Buffer) => {
      const isWhole = pieces === 0 || message.length > 2_000 || cutUp > 5_000
      if (isWhole) return void socket.write(message)
      cutUp += message.length / pieces
      for (let start = 0; start < message.length && !isCut; start += pieces) {
        socket.write(message.subarray(start, start + pieces))
        await new Promise(setImmediate)
      }
    }
    /** Resolves to whether the message is still to be passed. */
    const suffer = async (fault: Fault, message: Buffer, to: Socket) => {
      if (fault.kind === "delay") await Bun.sleep(fault.milliseconds)
      else if (fault.kind === "notice") to.write(NOTICE)
      else if (fault.kind === "forget") {
        await settled()
        if (isInTransaction || isCut || isClosed) return !isCut
        isForgetting = true
        pending++
        to.write(FORGET)
        await settled()
      } else {
        if (fault.kind === "fatal") to.write(FATAL)
        else to.write(message.subarray(0, Math.floor(message.length * fault.part)))
        await Bun.sleep(1)
        cut(fault.kind === "cut" && fault.isReset)
      }
      return !isCut
    }
    /** Whether the message is the server's own: not one that it was asked for here. */
    const note = (side: string, message: Buffer): boolean => {
      const type = String.fromCharCode(message[0] ?? 0)
      if (side === "c" && (type === "Q" || type === "S")) pending++
      if (side === "c") return true
      const isOwn = !isForgetting
      if (type === "Z") {
        pending--
        isForgetting = false
        isInTransaction = message[5] !== "I".charCodeAt(0)
        progress.resolve()
        progress = Promise.withResolvers()
      }
      return isOwn
    }
    const pump = (side: "c" | "s", from: Socket, to: Socket) => {
      const read = createReader(side === "c")
      let index = 0
      /** Whether the session may be idle before the next message. */
      let isBoundary = false
      let queue = Promise.resolve()
      const pass = async (message: Buffer) => {
        if (isCut) return
        const number = index++
        if (side === "c" && number === 0 && message.readInt32BE(4) === CANCEL) {
          await (cancelGate ?? Bun.sleep(cancelDelay))
          return void to.write(message)
        }
        const fault = faults.get(`${side}${number}`)
        const type = String.fromCharCode(message[0] ?? 0)
        // While a COPY waits for its rows the session does not become idle.
        const mayForget = isBoundary && !"dcf".includes(type)
        const isFitting =
          fault?.kind === "cut" ||
          fault?.kind === "delay" ||
          (!isTls && (fault?.kind !== "forget" || mayForget))
        if (fault && isFitting && !(await suffer(fault, message, to))) return
        isBoundary = number > 0 && "QS".includes(type)
        if (isTls || (number === 0 && side === "c")) return send(to, message)
        if (note(side, message)) await send(to, message)
      }
      from.on("data", (data) => {
        for (const message of isTls ? [data] : read(data)) {
          isTls ||= side === "c" && message.length === 8 && message.readInt32BE(4) === TLS
          queue = queue.then(() => pass(message))
        }
      })
      from.on("error", () => {})
      from.on("close", () => {
        queue.then(() => {
          isClosed = true
          progress.resolve()
          to.end()
        })
      })
    }
    for (const socket of [client, server]) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on("close", () => open.delete(socket))
    }
    pump("c", client, server)
    pump("s", server, client)
  }

  const listener = createServer(serve)
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
  const { port } = listener.address() as { port: number }
  return {
    port,
    /** Sockets of both sides. */
    open: () => open.size,
    /** Of the next connections, in turn. Nothing happens to those after them, nor any more to those before. */
    use(next: Plan[]) {
      for (const { faults } of used) faults.clear()
      used.clear()
      plans = [...next]
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      listener.close()
    },
  }
}

export type FaultProxy = Awaited<ReturnType<typeof startProxy>>
