/**
 * Limits logins, registrations and mails. Counts are in Postgres, so that all instances share them and a
 * restart forgets nothing. A key that is exhausted is also remembered here, so that what comes while it is
 * blocked costs no statement.
 */
import { createHash } from "node:crypto"
import { domainToUnicode } from "node:url"
import { createCache } from "../concurrency/cache.ts"
import type { Config } from "../config/config.ts"
import type { Sql, Statements } from "../database/sql.ts"
import { networkOf } from "../http/client-address.ts"
import { tooManyRequests } from "../http/problem.ts"
import { type Account, isKnownToAnybody } from "./credentials.ts"
import { isEmail } from "./schemas.ts"

const QUARTER_HOUR = 15 * 60
const HOUR = 60 * 60

/** How many are allowed, in so many seconds. */
const LIMITS = {
  /** Failed logins: of an account at an address, of an address, of its network, and of an account. */
  pair: [10, QUARTER_HOUR],
  address: [100, QUARTER_HOUR],
  network: [1_000, QUARTER_HOUR],
  account: [100, QUARTER_HOUR],
  /** Successful ones of an account. They are counted when they succeed. */
  logins: [60, QUARTER_HOUR],
  /** Of a mailbox: somebody else may have asked for the mails. */
  "mails requested": [5, HOUR],
  "mails sent": [5, HOUR],
  /** Of an address. For registrations it is REGISTRATIONS_PER_HOUR. */
  registration: [null, HOUR],
  resets: [50, HOUR],
  /** Of a user. */
  "email change": [10, HOUR],
} as const

type Rule = {
  key: string
  /** Null if attempts are counted without a limit. */
  max: number | null
  seconds: number
}

/** `kind` keeps the keys apart: the id of an account must not equal an email that looks like it. */
const rule = (kind: keyof typeof LIMITS, ...parts: string[]): Rule => {
  const [max, seconds] = LIMITS[kind]
  const hash = createHash("sha256").update([kind, ...parts].join("\n"))
  return { key: hash.digest("base64url"), max, seconds }
}

const CACHE_LIMIT = 10_000

/** What an attempt at a password is counted under. */
export type AttemptCounts = {
  /** The first is reset by a success: that of the account at the address. */
  rules: [Rule, ...Rule[]]
  logins: Rule
  /** Whether nobody can have registered the email: then it is counted here alone, without a statement. */
  isImpossible: boolean
}

const addressRules = (address: string) => {
  const network = networkOf(address)
  const own = rule("address", address)
  return network === undefined ? [own] : [own, rule("network", network)]
}

/** More than an email may have. */
const COUNTED_LENGTH = 600

const countsOf = (account: Account, address: string): AttemptCounts => {
  const isUser = "id" in account
  // With the hash, so that a new password starts with no failed logins, on every instance at once.
  const name = isUser
    ? `id ${account.id} ${account.password_hash}`
    : `email ${account.email.slice(0, COUNTED_LENGTH).toLowerCase().toUpperCase()}`
  const others = [...addressRules(address), rule("account", name)]
  // At an address from which its user logged in lately, an account is locked neither by attempts of others
  // behind that address nor by attempts from elsewhere.
  const isKnown = isUser && account.is_known
  return {
    rules: [
      rule("pair", name, address),
      ...(isKnown ? others.map((other) => ({ ...other, max: null })) : others),
    ],
    logins: rule("logins", name),
    isImpossible: !isUser && !isEmail(account.email),
  }
}

const TOO_MANY_LOGINS = "Too many logins; try again later"

export const createRateLimits = (
  sql: Sql,
  { REGISTRATIONS_PER_HOUR }: Pick<Config, "REGISTRATIONS_PER_HOUR">,
) => {
  /** Of keys that are exhausted, and of what is counted here alone. `endsAt` is by performance.now. */
  const windows = createCache<{ attempts: number; endsAt: number }>(CACHE_LIMIT)

  const open = (key: string, attempts: number, seconds: number) =>
    windows.set(key, { attempts, endsAt: performance.now() + seconds * 1_000 })

  const exhaust = ({ key, seconds_left }: Exhausted) =>
    open(key, Number.POSITIVE_INFINITY, seconds_left)

  /** Until none of the keys is exhausted, by all that is known here. */
  const secondsExhausted = (rules: Pick<Rule, "key" | "max">[]) => {
    const ends = rules.map(({ key, max }) => {
      const window = windows.get(key)
      return window && max !== null && window.attempts >= max ? window.endsAt : 0
    })
    return Math.ceil((Math.max(...ends) - performance.now()) / 1_000)
  }

  const refuseExhausted = (detail: string, rules: Rule[]) => {
    const seconds = secondsExhausted(rules)
    if (seconds > 0) throw tooManyRequests(detail, seconds)
  }

  const count = async (detail: string, rules: Rule[], statements: Statements = sql) => {
    refuseExhausted(detail, rules)
    const exhausted = await countAttempt(statements, rules)
    exhausted.forEach(exhaust)
    // By its own count alone: that of a later attempt may be known here already.
    if (exhausted.length > 0) refuseExhausted(detail, rules)
  }

  return {
    /**
     * Throws a 429 if the address had too many attempts and nobody is known there, whoever it asks for: while
     * it is blocked, a login that could make somebody known is refused, too.
     */
    async admitAddress(address: string) {
      const seconds = secondsExhausted(addressRules(address))
      if (seconds <= 0) return
      const key = `nobody is known at ${address}`
      if (secondsExhausted([{ key, max: 0 }]) <= 0) {
        if (await isKnownToAnybody(sql, address)) return
        exhaust({ key, seconds_left: seconds })
      }
      throw tooManyRequests(TOO_MANY_LOGINS, seconds)
    },

    /** Throws a 429 if it is known that there were too many attempts. */
    admit(account: Account, address: string): AttemptCounts {
      const counts = countsOf(account, address)
      refuseExhausted(TOO_MANY_LOGINS, [counts.logins, ...counts.rules])
      return counts
    },

    /** Counts an attempt as failed before it is made. One that succeeds is uncounted. */
    async countAttempt({ rules, isImpossible }: AttemptCounts) {
      if (!isImpossible) return count(TOO_MANY_LOGINS, rules)
      refuseExhausted(TOO_MANY_LOGINS, rules)
      for (const { key, seconds } of rules) {
        const known = windows.get(key)
        if (known && known.endsAt > performance.now()) known.attempts++
        else open(key, 1, seconds)
      }
    },

    /** Throws a 429 if the account has too many. */
    countLogin: (transaction: Statements, { logins }: AttemptCounts) =>
      count(TOO_MANY_LOGINS, [logins], transaction),

    countRegistration: (address: string) =>
      count("Too many registrations; try again later", [
        { ...rule("registration", address), max: REGISTRATIONS_PER_HOUR },
      ]),

    /** The same whether somebody has the email or not. */
    countResetRequest: (email: string, address: string) =>
      count("Too many requests for a new password; try again later", [
        mailRule("mails requested", email),
        rule("resets", address),
      ]),

    /** `oldEmail`: null if nobody gets a mail. */
    countEmailChange: (userId: number, oldEmail: string | null) =>
      count("Too many changes of the email; try again later", [
        rule("email change", String(userId)),
        ...(oldEmail === null ? [] : [mailRule("mails requested", oldEmail)]),
      ]),
  }
}
export type RateLimits = ReturnType<typeof createRateLimits>

/** The same for all emails whose mails come to one mailbox. */
const mailRule = (kind: "mails requested" | "mails sent", email: string) => {
  const at = email.lastIndexOf("@")
  const domain = email.slice(at + 1).toLowerCase()
  return rule(
    kind,
    email.slice(0, at).toLowerCase().toUpperCase(),
    domainToUnicode(domain) || domain,
  )
}

type Exhausted = { key: string; seconds_left: number }

/**
 * Counts an attempt under each key, unless one of them is exhausted already. Returns the keys that are. If the
 * window of a count has ended, a new one begins. Attempts are counted before they are made, so that a thousand
 * at once do not exceed the limit.
 */
const countAttempt = (sql: Statements, rules: Rule[]) => sql<Exhausted[]>`
  with rule as (
    select key, max, seconds
    from jsonb_to_recordset(${sql.json(rules)}) as given (key text, max integer, seconds integer)
  ), exhausted as (
    select key, expires_at
    from rate_limits
    join rule using (key)
    where attempts >= max
      and expires_at > now()
  ), counted as (
    insert into rate_limits (key, attempts, expires_at)
    select key, 1, now() + make_interval(secs => seconds)
    from rule
    where not exists (select from exhausted)
    on conflict on constraint rate_limits_pkey do update
    set attempts = case when rate_limits.expires_at > now() then rate_limits.attempts + 1 else 1 end,
      expires_at = case when rate_limits.expires_at > now() then rate_limits.expires_at
        else excluded.expires_at end
    returning key, attempts, expires_at
  )
  select key, ceil(extract(epoch from expires_at - now()))::integer as seconds_left
  from exhausted
  union all
  select key, ceil(extract(epoch from counted.expires_at - now()))::integer
  from counted
  join rule using (key)
  where attempts > max`

/**
 * Uncounts an attempt that succeeded, and resets the count of the account at the address. Rows are locked in the
 * order in which attempts are counted, so that there are no deadlocks.
 */
export const uncount = (sql: Statements, { rules }: AttemptCounts) => sql`
  with locked as (
    select rate_limits.key, position
    from rate_limits
    join jsonb_array_elements_text(${sql.json(rules.map(({ key }) => key))})
      with ordinality as given (key, position) on given.key = rate_limits.key
    order by position
    for update of rate_limits
  )
  update rate_limits
  set attempts = case when position = 1 then 0 else attempts - 1 end,
    expires_at = case when position = 1 then now() else expires_at end
  from locked
  where rate_limits.key = locked.key
    and attempts > 0`

/** Counts a mail that is about to be sent. Returns the seconds until one may be sent, if there were enough. */
export const countMail = async (sql: Sql, recipient: string): Promise<number | undefined> => {
  const sent = mailRule("mails sent", recipient)
  const [exhausted] = await countAttempt(sql, [sent])
  if (exhausted) return exhausted.seconds_left
  // The hour begins anew with each, so that there are never more in any hour, however long mails waited.
  await sql`
    update rate_limits
    set expires_at = now() + make_interval(secs => ${sent.seconds})
    where key = ${sent.key}`
}

/** For a mail that was counted and not sent. */
export const uncountMail = (sql: Sql, recipient: string) => sql`
  update rate_limits
  set attempts = attempts - 1
  where key = ${mailRule("mails sent", recipient).key}
    and attempts > 0`
