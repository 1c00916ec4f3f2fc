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
import { isKnownToAnybody } from "./credentials.ts"
import { isEmail } from "./schemas.ts"

const ATTEMPT_SECONDS = 15 * 60
const ATTEMPTS = { ofAccountAndAddress: 10, ofAddress: 100, ofNetwork: 1_000, ofAccount: 100 }
/** Successful logins of an account. They are counted when they succeed. */
const LOGINS = 60
const HOUR_SECONDS = 60 * 60
/** Somebody else may have asked for the mail. */
const MAILS = { ofMailbox: 5, ofAddress: 50, ofUser: 10 }
const CACHE_LIMIT = 10_000

/** `kind` keeps the keys apart: the id of an account must not equal an email that looks like it. */
const digest = (kind: string, ...parts: string[]) =>
  createHash("sha256")
    .update([kind, ...parts].join("\n"))
    .digest("base64url")

type Rule = {
  key: string
  /** Null if attempts are counted without a limit. */
  max: number | null
  seconds: number
}

const rule = (key: string, max: number | null, seconds = HOUR_SECONDS): Rule => ({
  key,
  max,
  seconds,
})

/** A user, or the email of nobody. */
export type Account =
  | { id: number; password_hash: string | null; is_known: boolean }
  | { email: string }

/** What an attempt at a password is counted under. */
export type AttemptCounts = {
  /** Reset by a success. */
  accountAndAddress: string
  logins: string
  rules: Rule[]
  /** Whether nobody can have registered the email: then it is counted here alone, without a statement. */
  isImpossible: boolean
}

/** The keys of an address and of its network, and how many failed logins they may have. */
const addressKeys = (address: string): [key: string, max: number][] => {
  const network = networkOf(address)
  const keys: [string, number][] = [[digest("address", address), ATTEMPTS.ofAddress]]
  if (network !== undefined) keys.push([digest("network", network), ATTEMPTS.ofNetwork])
  return keys
}

/**
 * At an address from which its user logged in lately, an account is locked neither by attempts of others
 * behind that address nor by attempts from elsewhere.
 */
const countsOf = (account: Account, address: string): AttemptCounts => {
  // With the hash, so that a new password starts with no failed logins, on every instance at once.
  const name =
    "id" in account
      ? `id ${account.id} ${account.password_hash}`
      : `email ${account.email.toLowerCase().toUpperCase()}`
  const unlessKnown = (max: number) => ("id" in account && account.is_known ? null : max)
  const accountAndAddress = digest("pair", name, address)
  const logins = digest("logins", name)
  const attempts = (key: string, max: number | null) => rule(key, max, ATTEMPT_SECONDS)
  return {
    accountAndAddress,
    logins,
    rules: [
      attempts(accountAndAddress, ATTEMPTS.ofAccountAndAddress),
      ...addressKeys(address).map(([key, max]) => attempts(key, unlessKnown(max))),
      attempts(digest("account", name), unlessKnown(ATTEMPTS.ofAccount)),
    ],
    isImpossible: "email" in account && !isEmail(account.email),
  }
}

const TOO_MANY_LOGINS = "Too many logins; try again later"

export const createRateLimits = (
  sql: Sql,
  { REGISTRATIONS_PER_HOUR }: Pick<Config, "REGISTRATIONS_PER_HOUR">,
) => {
  /** By performance.now. */
  const blockedUntil = createCache<number>(CACHE_LIMIT)
  /** Until when it is certain that nobody is known at an address. */
  const strangersUntil = createCache<number>(CACHE_LIMIT)
  /** Attempts that are counted here alone. */
  const windows = createCache<{ attempts: number; endsAt: number }>(CACHE_LIMIT)

  const block = (key: string, seconds: number) =>
    blockedUntil.set(key, performance.now() + seconds * 1_000)

  const refuseBlocked = (detail: string, keys: string[]) => {
    const now = performance.now()
    const seconds = Math.ceil(
      Math.max(...keys.map((key) => blockedUntil.get(key) ?? 0)) / 1_000 - now / 1_000,
    )
    if (seconds > 0) throw tooManyRequests(detail, seconds)
  }

  const countHere = (rules: Rule[]): Exhausted[] => {
    const now = performance.now()
    return rules.flatMap(({ key, max, seconds }) => {
      const known = windows.get(key)
      const window =
        known && known.endsAt > now ? known : { attempts: 0, endsAt: now + seconds * 1_000 }
      window.attempts++
      windows.set(key, window)
      const isExhausted = max !== null && window.attempts > max
      return isExhausted ? [{ key, seconds_left: Math.ceil((window.endsAt - now) / 1_000) }] : []
    })
  }

  const count = async (detail: string, rules: Rule[], isHere = false) => {
    refuseBlocked(detail, limitedKeys(rules))
    const exhausted = isHere ? countHere(rules) : await countAttempt(sql, rules)
    for (const { key, seconds_left } of exhausted) block(key, seconds_left)
    // Only by what this attempt found: later ones may have blocked other keys in the meantime.
    refuseBlocked(
      detail,
      exhausted.map(({ key }) => key),
    )
  }

  return {
    /**
     * Throws a 429 if the address had too many attempts and nobody is known there, whoever it asks for: while
     * it is blocked, a login that could make somebody known is refused, too.
     */
    async admitAddress(address: string) {
      const keys = addressKeys(address).map(([key]) => key)
      const until = Math.max(...keys.map((key) => blockedUntil.get(key) ?? 0))
      const now = performance.now()
      if (until <= now) return
      if ((strangersUntil.get(address) ?? 0) <= now) {
        if (await isKnownToAnybody(sql, address)) return
        strangersUntil.set(address, until)
      }
      refuseBlocked(TOO_MANY_LOGINS, keys)
    },

    /** Throws a 429 if it is known that there were too many attempts. */
    admit(account: Account, address: string): AttemptCounts {
      const counts = countsOf(account, address)
      refuseBlocked(TOO_MANY_LOGINS, [counts.logins, ...limitedKeys(counts.rules)])
      return counts
    },

    /** Counts an attempt as failed before it is made. One that succeeds is uncounted. */
    countAttempt: ({ rules, isImpossible }: AttemptCounts) =>
      count(TOO_MANY_LOGINS, rules, isImpossible),

    /** Throws a 429 if the account has too many. */
    async countLogin(transaction: Statements, { logins }: AttemptCounts) {
      const [{ attempts, seconds_left }] = await countLogin(transaction, logins)
      if (attempts <= LOGINS) return
      block(logins, seconds_left)
      throw tooManyRequests(TOO_MANY_LOGINS, seconds_left)
    },

    countRegistration: (address: string) =>
      count("Too many registrations; try again later", [
        rule(digest("registration", address), REGISTRATIONS_PER_HOUR),
      ]),

    /** The same whether somebody has the email or not. */
    countResetRequest: (email: string, address: string) =>
      count("Too many requests for a new password; try again later", [
        rule(mailKey("requested", email), MAILS.ofMailbox),
        rule(digest("resets", address), MAILS.ofAddress),
      ]),

    /** `oldEmail`: null if nobody gets a mail. */
    countEmailChange: (userId: number, oldEmail: string | null) =>
      count("Too many changes of the email; try again later", [
        rule(digest("email change", String(userId)), MAILS.ofUser),
        ...(oldEmail === null ? [] : [rule(mailKey("requested", oldEmail), MAILS.ofMailbox)]),
      ]),
  }
}
export type RateLimits = ReturnType<typeof createRateLimits>

const limitedKeys = (rules: Rule[]) => rules.filter(({ max }) => max !== null).map(({ key }) => key)

/** The same for all emails whose mails come to one mailbox. */
const mailKey = (kind: "requested" | "sent", email: string) => {
  const at = email.lastIndexOf("@")
  const domain = domainToUnicode(email.slice(at + 1).toLowerCase())
  return digest(`mails ${kind}`, email.slice(0, at).toLowerCase().toUpperCase(), domain)
}

type Exhausted = { key: string; seconds_left: number }

/**
 * Counts an attempt under each key, unless one of them is exhausted already. Returns the keys that are.
 * Attempts are counted before they are made, so that a thousand at once do not exceed the limit.
 */
const countAttempt = (sql: Sql, rules: Rule[]) => sql<Exhausted[]>`
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
    ${onCounted(sql)}
    returning key, attempts, expires_at
  )
  select key, ceil(extract(epoch from expires_at - now()))::integer as seconds_left
  from exhausted
  union all
  select key, ceil(extract(epoch from counted.expires_at - now()))::integer
  from counted
  join rule using (key)
  where attempts > max`

/** If the window of the count has ended, a new one begins. */
const onCounted = (sql: Statements) => sql`
  on conflict on constraint rate_limits_pkey do update
  set attempts = case when rate_limits.expires_at > now() then rate_limits.attempts + 1 else 1 end,
    expires_at = case when rate_limits.expires_at > now() then rate_limits.expires_at
      else excluded.expires_at end`

const countLogin = (transaction: Statements, key: string) => transaction<
  [{ attempts: number; seconds_left: number }]
>`
  insert into rate_limits (key, attempts, expires_at)
  values (${key}, 1, now() + make_interval(secs => ${ATTEMPT_SECONDS}))
  ${onCounted(transaction)}
  returning attempts, ceil(extract(epoch from expires_at - now()))::integer as seconds_left`

/**
 * Uncounts an attempt that succeeded, and resets the count of the account and the address. Rows are locked in
 * the order in which attempts are counted, so that there are no deadlocks.
 */
export const uncount = (sql: Statements, { accountAndAddress, rules }: AttemptCounts) => {
  const keys = rules.map(({ key }) => key)
  return sql`
    with locked as (
      select rate_limits.key
      from rate_limits
      join jsonb_array_elements_text(${sql.json(keys)}) with ordinality as given (key, place)
        on given.key = rate_limits.key
      order by place
      for update of rate_limits
    ), cleared as (
      delete from rate_limits
      where key = ${accountAndAddress}
        and key in (select key from locked)
    )
    update rate_limits
    set attempts = attempts - 1
    where key in (select key from locked)
      and key <> ${accountAndAddress}
      and attempts > 0`
}

/**
 * Counts a mail that is about to be sent. Returns the seconds until one may be sent, if there were enough. The
 * window ends an hour after the last mail, so that there are never more in any hour, however long they waited.
 */
export const countMail = async (sql: Sql, recipient: string): Promise<number | undefined> => {
  const key = mailKey("sent", recipient)
  const counted = await sql`
    insert into rate_limits as known (key, attempts, expires_at)
    values (${key}, 1, now() + make_interval(secs => ${HOUR_SECONDS}))
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
