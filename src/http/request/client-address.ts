/** From which address a request comes, behind proxies too. */
import { Elysia } from "elysia"
import ipaddr from "ipaddr.js"
import { isAddress } from "./address.ts"

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Network = [Address, number]

/** An entry of X-Forwarded-For; some proxies add the port. Undefined where it is no address. */
const parseHop = (text: string): Address | undefined => {
  const hop = text.trim().replace(/^\[(.*)\](:\d+)?$|^([\d.]+):\d+$/, "$1$3")
  return isAddress(hop) ? ipaddr.process(hop) : undefined
}

/** `10.0.0.0/8`, or one address. A network of IPv4 in IPv6 (`::ffff:10.0.0.0/104`) is one of IPv4. */
const parseNetwork = (text: string): Network => {
  const [address = "", bits] = text.split("/")
  const parsed = ipaddr.parse(address)
  const prefix = bits === undefined ? parsed.toByteArray().length * 8 : Number(bits)
  return parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() && prefix >= 96
    ? [parsed.toIPv4Address(), prefix - 96]
    : [parsed, prefix]
}

const isIn = (address: Address, [network, bits]: Network) =>
  address.kind() === network.kind() && address.match(network, bits)

/** RFC 6052: how a NAT64 writes the IPv4 address that it translates for. */
const NAT64 = parseNetwork("64:ff9b::/96")

const translated = (address: Address): Address =>
  isIn(address, NAT64) ? new ipaddr.IPv4(address.toByteArray().slice(-4)) : address

/** An IPv6 subscriber has at least a /64 to choose addresses from, so that is what counts. */
const subscriber = (address: Address): string =>
  address instanceof ipaddr.IPv6
    ? address.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(":")
    : address.toString()

/** The /48 of a client's IPv6 address, which one site may have whole; undefined for IPv4. */
export const networkOf = (address: string): string | undefined =>
  address.includes(":") ? address.split(":").slice(0, 3).join(":") : undefined

/**
 * The right-most hop that is no trusted proxy: whatever is left of it was said by a stranger.
 * Where a proxy wrote no address, the proxy itself counts.
 */
export const createClientAddress = (trustedProxies: string[]) => {
  const networks = trustedProxies.map(parseNetwork)
  const isTrusted = (address: Address) => networks.some((network) => isIn(address, network))

  return (peer: string, forwardedFor: string | null): string => {
    let client = parseHop(peer)
    if (!client) return peer
    const hops = forwardedFor?.split(",") ?? []
    while (isTrusted(client)) {
      const hop = parseHop(hops.pop() ?? "")
      if (!hop) break
      client = hop
    }
    return subscriber(translated(client))
  }
}

/** Tells the routes of an instance the client's address. */
export const clientAddress = (trustedProxies: string[]) => {
  const addressOf = createClientAddress(trustedProxies)
  return new Elysia().derive({ as: "scoped" }, ({ request, server }) => ({
    address: addressOf(
      server?.requestIP(request)?.address ?? "",
      request.headers.get("x-forwarded-for"),
    ),
  }))
}
