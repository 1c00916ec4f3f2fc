/** Limits logins, registrations and requests for mails. The counts are in Postgres, shared by all instances. */
import { createHash } from "node:crypto"
import { domainToUnicode } from "node:url"
import { createCache } from "../concurrency/cache.ts"
import type { Config } from "../config/config.ts"
import type { Sql } from "../database/connect.ts"
import { networkOf } from "../http/client-address.ts"
import { tooManyRequests } from "../http/problem.ts"
import { countAttempt, LOGINS, type Rule } from "./throttle/queries.ts"

const ATTEMPT_SECONDS = 15 * 60
const ATTEMPTS = { ofPair: 10, ofAddress: 100, ofNetwork: 1_000, ofAccount: 100 }
const REGISTRATION_SECONDS = 60 * 60
/** Somebody else may have asked for the mail. */
const MAILS_SECONDS = 60 * 60
const MAILS = { ofMailbox: 5, ofAddress: 50, ofUser: 10 }
const CACHE_LIMIT = 10_000

const sha256 = (...parts: string[]) => createHash("sha256").update(parts.join("\n"))

/** `kind` keeps the keys apart: the id of an account must not equal an email that looks like it. */
const digest = (kind: string, ...parts: string[]) => sha256(kind, ...parts).digest("base64url")

/** A user, or an email that nobody has, in the form in which emails are compared. */
export type Account = { id: number; password_hash: string | null } | { email: string }

/** Contains the hash, so that a new password starts with no failed logins, on every instance at once. */
const nameOf = (account: Account) =>
  "id" in account ? `id ${account.id} ${account.password_hash}` : `email ${account.email}`

export const hashAddress = (address: string): Uint8Array => sha256("address", address).digest()

/** The keys under which an attempt at a password is counted. */
export type AttemptCounts = {
  pair: string
  counted: string[]
  logins: string
  addressHash: Uint8Array
  rules: Rule[]
}

const rule = (key: string, max: number | null, seconds = ATTEMPT_SECONDS): Rule => ({
  key,
  max,
  seconds,
  is_counted: true,
})

/**
 * At an address from which its user logged in lately, an account is locked neither by attempts of
 * others behind that address nor by attempts from elsewhere.
 */
const countsOf = (account: Account, address: string, isKnownAddress: boolean): AttemptCounts => {
  const name = nameOf(account)
  const network = networkOf(address)
  const held = (max: number) => (isKnownAddress ? null : max)
  const pair = digest("pair", name, address)
  const rules = [
    rule(pair, ATTEMPTS.ofPair),
    rule(digest("address", address), held(ATTEMPTS.ofAddress)),
    ...(network === undefined ? [] : [rule(digest("network", network), held(ATTEMPTS.ofNetwork))]),
    rule(digest("account", name), held(ATTEMPTS.ofAccount)),
  ]
  const logins = digest("logins", name)
  return {
    pair,
    counted: rules.map(({ key }) => key),
    logins,
    addressHash: hashAddress(address),
    rules: [...rules, { key: logins, ...LOGINS, is_counted: false }],
  }
}

/** The keys of the rules that have a limit. */
const heldKeys = (rules: Rule[]) => rules.filter(({ max }) => max !== null).map(({ key }) => key)

/** For all emails whose mails come to the same mailbox. */
const mailKey = (kind: "requested" | "sent", email: string) => {
  const at = email.lastIndexOf("@")
  const domain = domainToUnicode(email.slice(at + 1).toLowerCase())
  return digest(`mails ${kind}`, email.slice(0, at).toLowerCase().toUpperCase(), domain)
}

/**
 * Counts a mail that is about to be sent. Returns the seconds until one may be sent, if there were enough. The
 * window ends an hour after the last mail, so that there are never more in any hour, however long they waited.
 */
export const countMail = async (sql: Sql, recipient: string): Promise<number | undefined> => {
  const key = mailKey("sent", recipient)
  const counted = await sql`
    insert into rate_limits as known (key, attempts, expires_at)
    values (${key}, 1, now() + make_interval(secs => ${MAILS_SECONDS}))
    on conflict on constraint rate_limits_pkey do update
    set attempts = case when known.expires_at > now() then known.attempts + 1 else 1 end,
      expires_at = excluded.expires_at
    where known.expires_at <= now()
      or known.attempts < ${MAILS.ofMailbox}`
  if (counted.count > 0) return undefined
  const [row] = await sql<{ seconds_left: number }[]>`
    select ceil(extract(epoch from expires_at - now()))::integer as seconds_left
    from rate_limits
    where key = ${key}`
  return Math.max(1, row?.seconds_left ?? 1)
}

/** For a mail that was counted and not sent. */
export const uncountMail = (sql: Sql, recipient: string) => sql`
  update rate_limits
  set attempts = attempts - 1
  where key = ${mailKey("sent", recipient)}
    and attempts > 0`

export const createThrottle = (
  sql: Sql,
  { REGISTRATIONS_PER_HOUR }: Pick<Config, "REGISTRATIONS_PER_HOUR">,
) => {
  /** When keys that are full will have room again (performance.now): until then no statement is needed. */
  const fullUntil = createCache<number>(CACHE_LIMIT)

  const secondsLeft = (key: string) => ((fullUntil.get(key) ?? 0) - performance.now()) / 1000

  const refuseFull = (detail: string, keys: string[]) => {
    const seconds = Math.ceil(Math.max(...keys.map(secondsLeft)))
    if (seconds > 0) throw tooManyRequests(detail, seconds)
  }

  const setFull = (key: string, seconds: number) =>
    fullUntil.set(key, performance.now() + seconds * 1000)

  const count = async (detail: string, rules: Rule[]) => {
    refuseFull(detail, heldKeys(rules))
    const full = await countAttempt(sql, rules)
    for (const { key, seconds_left } of full) setFull(key, seconds_left)
    // Only by what this attempt found: later attempts may have marked other keys as full in the meantime.
    const met = full.map(({ key }) => key)
    refuseFull(detail, met)
  }

  const tooManyAttempts = "Too many logins; try again later"

  return {
    /** Throws a 429 if the counts are known to be full. */
    admit(account: Account, address: string, isKnownAddress: boolean): AttemptCounts {
      const counts = countsOf(account, address, isKnownAddress)
      refuseFull(tooManyAttempts, heldKeys(counts.rules))
      return counts
    },

    /** Counts an attempt as failed before it is made. One that succeeds is uncounted. */
    countAttempt: ({ rules }: AttemptCounts) => count(tooManyAttempts, rules),

    /** The 429 for an account with too many logins. */
    tooManyLogins({ logins }: AttemptCounts, seconds: number) {
      setFull(logins, seconds)
      return tooManyRequests(tooManyAttempts, seconds)
    },

    countRegistration: (address: string) =>
      count("Too many registrations; try again later", [
        rule(digest("registration", address), REGISTRATIONS_PER_HOUR, REGISTRATION_SECONDS),
      ]),

    /** The same whether somebody has the email or not. */
    countResetRequest: (email: string, address: string) =>
      count("Too many requests for a new password; try again later", [
        rule(mailKey("requested", email), MAILS.ofMailbox, MAILS_SECONDS),
        rule(digest("resets", address), MAILS.ofAddress, MAILS_SECONDS),
      ]),

    /** `oldEmail`: null if nobody gets a mail. */
    countEmailChange: (userId: number, oldEmail: string | null) =>
      count("Too many changes of the email; try again later", [
        rule(digest("email change", String(userId)), MAILS.ofUser, MAILS_SECONDS),
        ...(oldEmail === null
          ? []
          : [rule(mailKey("requested", oldEmail), MAILS.ofMailbox, MAILS_SECONDS)]),
      ]),
  }
}
export type Throttle = ReturnType<typeof createThrottle>
