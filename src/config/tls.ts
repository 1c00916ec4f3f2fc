/** TLS to Postgres, by libpq's parameters sslmode and sslrootcert. */
import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import type { ConnectionOptions } from "node:tls"

const MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const

/** Whether the connection stays on this machine. */
export const isLocal = (host: string) =>
  host.startsWith("/") ||
  host === "localhost" ||
  host === "::1" ||
  /^127\.\d+\.\d+\.\d+$/.test(host)

const rootCertificate = (file: string | null) => {
  // Uses the authorities of Bun.
  if (file === null || file === "system") return {}
  try {
    return { ca: readFileSync(file, "utf8") }
  } catch {
    throw new RangeError("names an sslrootcert that cannot be read")
  }
}

/** Throws a RangeError whose message completes a sentence that begins with the variable's name. */
export const tlsOptions = (
  host: string,
  parameters: URLSearchParams,
): false | "prefer" | "require" | ConnectionOptions => {
  const file = parameters.get("sslrootcert")
  const said = parameters.get("sslmode") ?? (file === "system" ? "verify-full" : null)
  // libpq's default is "prefer", but a connection within this machine needs no TLS.
  const mode = MODES.find((known) => known === (said ?? (isLocal(host) ? "disable" : "prefer")))
  if (mode === undefined) throw new RangeError(`must have one of ${MODES.join(", ")} as sslmode`)
  if (host.startsWith("/") || mode === "disable") return false
  // As in libpq: with sslrootcert, "require" also verifies the certificate.
  const isVerified = mode.startsWith("verify") || (mode === "require" && file !== null)
  if (!isVerified) return mode === "require" ? mode : "prefer"
  const options: ConnectionOptions = { rejectUnauthorized: true, host, ...rootCertificate(file) }
  if (!isIP(host)) options.servername = host
  if (mode !== "verify-full") options.checkServerIdentity = () => undefined
  return options
}
