/** How often a password may be guessed and an account made: counted in Postgres, for all instances. */
import { createHash } from "node:crypto"
import type { Config } from "../../config/config.ts"
import type { Sql } from "../../database/connection.ts"
import { networkOf } from "../../http/request/client-address.ts"
import { createCache } from "../cache.ts"
import { tooManyRequests } from "../problems.ts"
import { countAttempt, LOGINS, type Rule } from "./queries.ts"

const ATTEMPT_SECONDS = 15 * 60
const ATTEMPTS = { ofPair: 10, ofAddress: 100, ofNetwork: 1_000, ofAccount: 100 }
const REGISTRATION_SECONDS = 60 * 60
/** Each is a mail to somebody who may not have asked for it. */
const MAILS_SECONDS = 60 * 60
const MAILS = { ofEmail: 5, ofAddress: 50, ofUser: 10 }
const CACHE_LIMIT = 10_000

const sha256 = (...parts: string[]) => createHash("sha256").update(parts.join("\n"))

/** The first part says what is counted: an account's id must not meet an email that looks like it. */
const digest = (kind: string, ...parts: string[]) => sha256(kind, ...parts).digest("base64url")

/** A user, or an email that nobody has, in the spelling by which emails are compared. */
export type Account = { id: number; password_hash: string | null } | { email: string }

/** A new password begins with no failed logins, on every instance: nobody has to be told. */
const nameOf = (account: Account) =>
  "id" in account ? `id ${account.id} ${account.password_hash}` : `email ${account.email}`

export const hashAddress = (address: string): Uint8Array => sha256("address", address).digest()

/** The counts that a guess at the password of an account from an address is part of. */
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
 * Neither a neighbour's guesses behind the same address nor a stranger's elsewhere lock an account
 * at an address from which it was logged in to.
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

/** The keys of those that hold. */
const heldKeys = (rules: Rule[]) => rules.filter(({ max }) => max !== null).map(({ key }) => key)

export const createThrottle = (
  sql: Sql,
  { REGISTRATIONS_PER_HOUR }: Pick<Config, "REGISTRATIONS_PER_HOUR">,
) => {
  /** Until when (performance.now) what is known to be full stays full: no statement is needed. */
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
    // What this attempt met: one that came after it may have been told sooner that it is full.
    const met = full.map(({ key }) => key)
    refuseFull(detail, met)
  }

  const tooManyAttempts = "Too many logins; try again later"

  return {
    /** Throws a 429 where it is known that the counts are full. */
    admit(account: Account, address: string, isKnownAddress: boolean): AttemptCounts {
      const counts = countsOf(account, address, isKnownAddress)
      refuseFull(tooManyAttempts, heldKeys(counts.rules))
      return counts
    },

    /** Counts a guess as failed, before it is known: what turns out right is taken back. */
    countAttempt: ({ rules }: AttemptCounts) => count(tooManyAttempts, rules),

    /** The 429 of an account that was logged in to too often. */
    tooManyLogins({ logins }: AttemptCounts, seconds: number) {
      setFull(logins, seconds)
      return tooManyRequests(tooManyAttempts, seconds)
    },

    countRegistration: (address: string) =>
      count("Too many registrations; try again later", [
        rule(digest("registration", address), REGISTRATIONS_PER_HOUR, REGISTRATION_SECONDS),
      ]),

    /** Alike for an email that somebody has and for one that nobody has. */
    countResetRequest: (email: string, address: string) =>
      count("Too many requests for a new password; try again later", [
        rule(digest("reset", email.toLowerCase().toUpperCase()), MAILS.ofEmail, MAILS_SECONDS),
        rule(digest("resets", address), MAILS.ofAddress, MAILS_SECONDS),
      ]),

    countEmailChange: (userId: number) =>
      count("Too many changes of the email; try again later", [
        rule(digest("email change", String(userId)), MAILS.ofUser, MAILS_SECONDS),
      ]),
  }
}
export type Throttle = ReturnType<typeof createThrottle>
