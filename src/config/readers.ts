/** Readers for each kind of environment variable. */
import { isIP } from "node:net"
import ipaddr from "ipaddr.js"

/** Needs both: isIP accepts zones, which ipaddr.js cannot read; ipaddr.js accepts octal numbers. */
export const isAddress = (text: string) => isIP(text) !== 0 && ipaddr.isValid(text)

export type Env = Record<string, string | undefined>
/** Reads one variable. Its errors never contain the value, which may be a secret. */
export type Reader<T> = (value: string | undefined, env: Env) => T

export const LARGEST_PORT = 65_535

/** The message completes a sentence that begins with the name of the variable. */
export const fail = (message: string): never => {
  throw new RangeError(message)
}

export const text =
  <T extends string | undefined>(fallback: T): Reader<string | T> =>
  (value) =>
    value ?? fallback

/** Kubernetes sets such a value for a service that is called like the beginning of a variable. */
export const isOfKubernetes = (value: string | undefined) => value?.startsWith("tcp://") === true

export const integer =
  <T extends number | undefined>(fallback: T, min: number, max: number): Reader<number | T> =>
  (value) => {
    if (value === undefined) return fallback
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    return number >= min && number <= max
      ? number
      : fail(`must be a whole number from ${min} to ${max}`)
  }

export const metricsPort: Reader<number | undefined> = (value, env) =>
  isOfKubernetes(value) ? undefined : integer(undefined, 0, LARGEST_PORT)(value, env)

export const oneOf =
  <const T extends string>(fallback: NoInfer<T>, ...choices: T[]): Reader<T> =>
  (value) =>
    value === undefined
      ? fallback
      : (choices.find((choice) => choice === value) ?? fail(`must be one of ${choices.join(", ")}`))

export const list =
  <T>(read: (item: string) => T): Reader<T[]> =>
  (value) =>
    (value ?? "")
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "")
      .map(read)

export const url =
  (...protocols: string[]) =>
  (value: string | undefined) => {
    if (value === undefined) return undefined
    if (URL.canParse(value) && protocols.includes(new URL(value).protocol)) return value
    return fail(`must be a URL that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`)
  }

/** An address or `name-addr` of RFC 5322, without characters that could start another header. */
export const sender: Reader<string | undefined> = (value) =>
  value === undefined || /^[^\p{Cc}<>]*<[^\s<>@]+@[^\s<>@]+>$|^[^\s<>@]+@[^\s<>@]+$/u.test(value)
    ? value
    : fail("must be an address such as todo@example.org or Todo <todo@example.org>")

export const smtpUrl: Reader<string | undefined> = (value) => {
  const checked = url("smtp:", "smtps:")(value)
  return checked === undefined || new URL(checked).hostname !== "" ? checked : fail("names no host")
}

export const resetUrl: Reader<string | undefined> = (value) => {
  const checked = url("https:", "http:")(value)
  return checked === undefined || checked.includes("{token}") ? checked : fail("must hold {token}")
}

/** Any scheme: pages in applications have origins such as `capacitor://localhost`, or `app://.`. */
const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*,]+$/i

/** As browsers send it: in small letters, without the port that its scheme has anyway. */
export const origin = (item: string) => {
  if (/^[a-z][a-z\d+.-]*:\/\/[^/]+\/+$/i.test(item))
    fail(
      "must be origins without a slash at the end: https://app.example, not https://app.example/",
    )
  const isOrigin = item === "*" || (ORIGIN.test(item) && URL.canParse(item))
  if (!isOrigin) fail("must be * or origins such as https://app.example, separated by commas")
  return /^https?:/i.test(item) ? new URL(item).origin : item.toLowerCase()
}

export const host: Reader<string> = (value = "127.0.0.1") =>
  isIP(value) || /^[a-z\d][a-z\d_.-]*$/i.test(value)
    ? value
    : fail("must be an IP address or the name of a host")

export const network = (item: string) => {
  const [address = ""] = item.split("/")
  return isAddress(address) && (address === item || ipaddr.isValidCIDR(item))
    ? item
    : fail("must be IP addresses or CIDR networks, separated by commas")
}
