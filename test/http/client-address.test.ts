/** Whose address a request counts for, behind proxies or not. */
import { describe, expect, test } from "bun:test"
import { createClientOf } from "../../src/http/client-address.ts"

describe("the client is, or its address is", () => {
  const proxies = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108"]
  const addresses: [name: string, peer: string, forwarded: string | null, client: string][] = [
    ["the peer's without proxies", "198.51.100.1", null, "198.51.100.1"],
    ["the peer's where it is not trusted", "198.51.100.1", "203.0.113.1", "198.51.100.1"],
    ["what a trusted proxy says", "10.1.2.3", "203.0.113.1", "203.0.113.1"],
    ["the right-most untrusted hop", "10.1.2.3", "1.1.1.1, 203.0.113.1, 10.9.9.9", "203.0.113.1"],
    ["the left-most hop where all are trusted", "10.1.2.3", "10.0.0.1,192.0.2.7", "10.0.0.1"],
    ["the proxy's where it says nothing", "10.1.2.3", null, "10.1.2.3"],
    ["the proxy's where it says no address", "10.1.2.3", "203.0.113.1, unknown", "10.1.2.3"],
    ["no number that only looks like one", "10.1.2.3", "203.0.113.1, 0x7f.1", "10.1.2.3"],
    ["no address with a zone that is none", "10.1.2.3", "203.0.113.1, ::%eth-0", "10.1.2.3"],
    ["without the port of IPv4", "10.1.2.3", "203.0.113.1:4711", "203.0.113.1"],
    ["without the port of IPv6", "10.1.2.3", "[2001:470:1:2::5]:4711", "2001:470:1:2"],
    ["that of IPv4 inside of IPv6", "::ffff:10.1.2.3", "::ffff:203.0.113.1", "203.0.113.1"],
    ["found behind a network of IPv4 in IPv6", "172.16.9.9", "203.0.113.1", "203.0.113.1"],
    ["found behind a network of IPv6", "2001:db8:5::1", "203.0.113.1", "203.0.113.1"],
    ["the /64 of an IPv6 address", "2001:470:1:2:aaaa::1", null, "2001:470:1:2"],
    ["the /64 of a short IPv6 address", "::1", null, "0:0:0:0"],
    ["the /64 of an address with a zone", "fe80::1%eth0", null, "fe80:0:0:0"],
    ["not the next of a single trusted one", "192.0.2.8", "203.0.113.1", "192.0.2.8"],
  ]
  const clientOf = (peer: string, headers: Record<string, string>) => {
    const server = {
      requestIP: () => ({ address: peer, family: "IPv4", port: 1 }) as const,
      timeout() {},
    }
    return createClientOf(proxies)(new Request("http://localhost", { headers }), server)
  }
  for (const [name, peer, forwarded, client] of addresses)
    test(name, () => {
      const headers = forwarded === null ? {} : { "x-forwarded-for": forwarded }
      expect(clientOf(peer, headers).address).toBe(client)
    })

  test("found by paths behind the prefix that a trusted proxy names, and no other", () => {
    const prefix = (peer: string, named: string) =>
      clientOf(peer, { "x-forwarded-prefix": named }).prefix
    for (const named of ["/todo-api", "/apps/todo.api/v2~1"])
      expect(prefix("10.1.2.3", named)).toBe(named)
    expect(prefix("10.1.2.3", "/todo-api/")).toBe("/todo-api")
    expect(prefix("198.51.100.1", "/todo-api")).toBe("")
    for (const named of [
      "",
      "/",
      "//evil.example",
      "https://evil.example",
      "/a b",
      "/a>",
      "/a, /b",
      "todo",
    ])
      expect(prefix("10.1.2.3", named)).toBe("")
  })
})
