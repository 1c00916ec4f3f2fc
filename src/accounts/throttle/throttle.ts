/** How often a password may be guessed and an account made: counted in Postgres, for all instances. */
import { createHash } from "node:crypto"
import type { Config } from "../../config.ts"
import type { Sql } from "../../database/connection.ts"
import { createCache } from "../cache.ts"
import { tooManyRequests } from "../problems.ts"
import { countAttempt, type Guess, type Rule } from "./queries.ts"

const GUESS_SECONDS = 15 * 60
const GUESSES_PER_PAIR = 10
const GUESSES_PER_ADDRESS = 100
const REGISTRATION_SECONDS = 60 * 60
const CACHE_LIMIT = 10_000

const digest = (...parts: string[]) =>
  createHash("sha256").update(parts.join("\n")).digest("base64url")

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

  const count = async (detail: string, rules: Rule[]) => {
    const keys = rules.map(({ key }) => key)
    refuseFull(detail, keys)
    const full = await countAttempt(sql, rules)
    for (const { key, seconds_left } of full)
      fullUntil.set(key, performance.now() + seconds_left * 1000)
    // What this attempt met: one that came after it may have been told sooner that it is full.
    const met = full.map(({ key }) => key)
    refuseFull(detail, met)
  }

  const tooManyGuesses = "Too many failed logins; try again later"

  return {
    /**
     * The counts that a guess at the password of an account (its id, or an email that nobody has)
     * from an address is part of. Throws a 429 where it is known that they are full.
     */
    guess(account: number | string, address: string): Guess {
      const guess = {
        pair: digest("login", String(account), address),
        address: digest("login", address),
      }
      refuseFull(tooManyGuesses, [guess.pair, guess.address])
      return guess
    },

    /** Counts a guess as failed, before it is known: what turns out right is taken back. */
    countGuess: ({ pair, address }: Guess) =>
      count(tooManyGuesses, [
        { key: pair, max: GUESSES_PER_PAIR, seconds: GUESS_SECONDS },
        { key: address, max: GUESSES_PER_ADDRESS, seconds: GUESS_SECONDS },
      ]),

    countRegistration: (address: string) =>
      count("Too many registrations; try again later", [
        {
          key: digest("registration", address),
          max: REGISTRATIONS_PER_HOUR,
          seconds: REGISTRATION_SECONDS,
        },
      ]),
  }
}
export type Throttle = ReturnType<typeof createThrottle>
