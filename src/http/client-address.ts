/** Who sends a request, also behind proxies. */
import ipaddr from "ipaddr.js"
import { isAddress } from "../config/readers.ts"

/** All are compared as IPv6: the network of a proxy may be written in either way. */
const parse = (text: string): ipaddr.IPv6 => {
  const address = ipaddr.parse(text)
  return address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address
}

/** Parses an entry of X-Forwarded-For, to which some proxies add a port. Undefined if it is no address. */
const parseHop = (text: string): ipaddr.IPv6 | undefined => {
  const hop = text.trim().replace(/^\[(.*)\](:\d+)?$|^([\d.]+):\d+$/, "$1$3")
  return isAddress(hop) ? parse(hop) : undefined
}

/** Parses `10.0.0.0/8` or an address. */
const parseNetwork = (text: string): [ipaddr.IPv6, number] => {
  const [address = "", bits] = text.split("/")
  const before = address.includes(":") ? 0 : 96
  return [parse(address), bits === undefined ? 128 : before + Number(bits)]
}

/** RFC 6052: a NAT64 writes the IPv4 address of its client into this network. */
const NAT64 = parseNetwork("64:ff9b::/96")

/** An IPv6 subscriber can use any address of a /64, so the /64 stands for the client. */
const subscriber = (address: ipaddr.IPv6): string => {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString()
  if (address.match(NAT64)) return address.toByteArray().slice(-4).join(".")
  const groups = address.parts.slice(0, 4)
  return groups.map((group) => group.toString(16)).join(":")
}

/** The /48 of a client's IPv6 address: one site may own all of it. Undefined for IPv4. */
export const networkOf = (address: string): string | undefined =>
  address.includes(":") ? address.split(":").slice(0, 3).join(":") : undefined

/** What a proxy may put before our paths. */
const PREFIX = /^(?:\/[\w.~-]+){1,8}$/

type IsTrusted = (address: ipaddr.IPv6 | undefined) => boolean

/**
 * The client is the right-most hop that is no trusted proxy: entries to its left may be forged. If a
 * trusted proxy wrote no address, the proxy itself is the client.
 */
const addressOf = (peer: string, { headers }: Request, isTrusted: IsTrusted): string => {
  let client = parseHop(peer)
  if (!client) return peer
  const hops = isTrusted(client) ? (headers.get("x-forwarded-for")?.split(",") ?? []) : []
  while (isTrusted(client)) {
    const hop = parseHop(hops.pop() ?? "")
    if (!hop) break
    client = hop
  }
  return subscriber(client)
}

/** Seconds without a byte, after which a connection is closed: more than proxies keep theirs (60 to 75). */
export const IDLE_SECONDS = 75
/**
 * The same while a long response is being read. A kernel with 4 MB of buffers asks for more only when a third
 * of them is free: from a client that reads 10 kB a second that takes three minutes.
 */
export const READING_SECONDS = 240

const USER_AGENT_LENGTH = 256

type Server = Pick<Bun.Server<unknown>, "requestIP" | "timeout"> | null

/** With getters, because reading a header or the signal takes time, and few routes need them. */
export class Client {
  private found: string | undefined

  constructor(
    private readonly request: Request,
    private readonly server: Server,
    private readonly isTrusted: IsTrusted,
  ) {}

  private get peer(): string {
    return this.server?.requestIP(this.request)?.address ?? ""
  }

  /** To be asked for early where it is needed: it is not known any more when the client has left. */
  get address(): string {
    this.found ??= addressOf(this.peer, this.request, this.isTrusted)
    return this.found
  }

  /** The X-Forwarded-Prefix of a trusted proxy: to be put before our paths in headers. */
  get prefix(): string {
    const given = this.request.headers.get("x-forwarded-prefix")?.replace(/\/$/, "") ?? ""
    return PREFIX.test(given) && this.isTrusted(parseHop(this.peer)) ? given : ""
  }

  /** Shown to people: so it is short, and without invisible characters. */
  get userAgent(): string | null {
    const text = this.request.headers.get("user-agent") ?? ""
    const visible = text.replace(/[\p{Cc}\p{Cf}]/gu, "").trim()
    return visible === "" ? null : [...visible].slice(0, USER_AGENT_LENGTH).join("")
  }

  /** Aborted when the client has left. */
  get signal(): AbortSignal {
    return this.request.signal
  }

  /**
   * Closes the connection after so many seconds in which nothing is sent or received. Stays after the
   * response: whoever asks for it sets it back. (For every request it would be a tenth of its time.)
   */
  closeAfter(seconds: number) {
    this.server?.timeout(this.request, seconds)
  }
}

export const createClientOf = (trustedProxies: string[]) => {
  const networks = trustedProxies.map(parseNetwork)
  const isTrusted: IsTrusted = (address) => networks.some((network) => address?.match(network))
  return (request: Request, server: Server) => new Client(request, server, isTrusted)
}
export type ClientOf = ReturnType<typeof createClientOf>
