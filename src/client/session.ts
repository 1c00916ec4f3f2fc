/**
 * The session: tokens that all tabs share, and one refresh for all requests that need it. It is
 *   open    from a login on, with tokens that a refresh replaces;
 *   ended   when the service refuses the refresh token: whose it was is kept with their replica;
 *   closed  by a log-out.
 * After a log-out without a network the refresh token is kept until the service has ended the session.
 */
import type { Tokens, User } from "./calls.ts"
import {
  type ApiError,
  isAccountDeleted,
  isUnauthorized,
  notLoggedIn,
  storageFailed,
  unexpected,
} from "./errors.ts"
import type { Http } from "./http.ts"
import { createListeners } from "./listeners.ts"
import { withLock } from "./lock.ts"
import { backOff, orAborted, type Platform, randomKey, within } from "./platform.ts"
import { checked, isSession, isTokens, isUser, parse, type Session as Stored } from "./shapes.ts"
import type { Guard, Storage, Stored as StoredValue } from "./storage/storage.ts"

const KEY = "session"
/** Of the refresh tokens of sessions that were left, and that the service has to end. */
const LEFT = "left:"
/** Who logs out waits this long for the service at most. */
const PATIENCE = 5_000
/** The service repeats a refresh for 10 seconds, and then ends the session: a repeat has to be there before. */
const SILENCE = 7_000

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Calls `run` with the header of the access token, and once more with a new token after a 401. */
export type Authorized = <T>(run: (headers: Record<string, string>) => Promise<T>) => Promise<T>

export type Session = ReturnType<typeof createSession>

/** The tokens of a session that the service has to end. */
type Left = Pick<Tokens, "refresh_token"> & Partial<Pick<Tokens, "access_token">>

/** What a log-out removes of its user. `queue`: edits, too, that are not sent. The others wait. */
export type Removal = "replica" | "queue"

/** What this tab has of the user. */
type Belongings = {
  /** The keys of what is stored, as long as the guard holds. */
  keysOf: (user: User, what: Removal) => Promise<{ keys: readonly string[]; guard: Guard }>
  /** Forgets what was removed, here or by another tab. */
  clear: (what: Removal) => unknown
}

export const createSession = (
  platform: Platform,
  storage: Storage,
  http: Http,
  { keysOf, clear }: Belongings,
) => {
  const listeners = createListeners()
  const closing = new AbortController()
  /** The id of the logged-in user, as far as this tab knows. Empty if nobody is logged in. */
  let known: string | undefined
  /** A session that a full storage did not accept. All open tabs then have it in memory. */
  let unstored: Stored | undefined
  let isEnding = false

  const whose = (session: Stored | undefined) => String(session?.user.id ?? "")
  /** Calls the listeners if the user is another one: not after a refresh. */
  const changed = (user: string) => {
    if (user === known) return
    known = user
    listeners.call()
  }
  /** The guard holds until any tab stores another session, or none. */
  const readGuarded = async () => {
    const values = unstored ? undefined : await storage.read(KEY).catch(storageFailed)
    const text = values?.get(KEY) as string | undefined
    const value = parse(String(text))
    // Another tab may have sent one during the read.
    const session = unstored ?? (isSession(value) ? value : undefined)
    const found = whose(session)
    known ??= found
    // The browser removes what is stored without a word, and a read may come later than a message.
    if (!known || !found) changed(found)
    const { user } = Object(session ?? value) as Partial<Stored>
    return { session, user, guard: new Map(unstored ? [] : [[KEY, text]]) }
  }
  const sessionOf = (user: User, { access_token, refresh_token }: Tokens): Stored => ({
    user,
    access_token,
    refresh_token,
  })
  const readOf = async (user: User) => {
    const { session, guard } = await readGuarded()
    if (session?.user.id !== user.id) throw notLoggedIn()
    return { session, guard }
  }

  /** The storage may get another name by its first read: see `browserStorage`. */
  const name = () => `${storage.name}:session`
  const channel = readGuarded()
    .catch(() => {})
    .then(() =>
      // A message is the user, what was removed of them, or a session that is not stored.
      platform.channel(name(), (message) => {
        if (typeof message === "string") {
          const user = /\D/.test(message) ? "" : message
          unstored = undefined
          changed(user)
          if (user !== message) {
            clear(message as Removal)
            // The tab that has logged out may be closed before it reaches the service.
            endLeft()
          }
        } else if (isSession(message)) {
          unstored = message
          changed(whose(message))
        }
      }),
    )
  const alone = async <T>(run: () => Promise<T>) => {
    await channel
    return withLock(platform, name(), undefined, run)
  }

  /** Returns false, and has done nothing, if the guard does not hold any more. */
  const write = async (
    session: Stored | undefined,
    guard: Guard | undefined,
    message = whose(session),
    removed: readonly string[] = [],
    left: readonly (readonly [string, StoredValue])[] = [],
  ): Promise<boolean> => {
    const without = [KEY, ...removed].map((key) => [key, undefined] as const)
    const added = session ? ([[KEY, JSON.stringify(session)]] as const) : left
    try {
      const values = new Map<string, StoredValue>([...without, ...added])
      if (!(await storage.write(values, guard))) return false
      unstored = undefined
    } catch (error) {
      // A full storage still removes. A tab that is opened later would end the session with a used token.
      const isWritten = await storage.write(new Map(without), guard).catch(() => {
        if (!session) storageFailed(error)
      })
      if (isWritten === false) return false
      unstored = session
    }
    const { post } = await channel
    post(unstored ?? message)
    changed(whose(session))
    return true
  }
  /**
   * Forgets the session and, in the same write, what is stored of the user, but no session of somebody
   * who has logged in since. Returns what was forgotten. Under `leftKey` its refresh token is left.
   */
  const forget = async (
    user: User,
    what: Removal,
    leftKey?: string,
  ): Promise<Stored | undefined> => {
    const stored = await keysOf(user, what).catch(storageFailed)
    const { session, guard } = await readGuarded()
    const [gone, rest] = session?.user.id === user.id ? [session] : [undefined, session]
    const left = gone && leftKey ? [[leftKey, gone.refresh_token] as const] : []
    const all = new Map([...stored.guard, ...guard])
    // Otherwise another tab has stored an edit, or a session, meanwhile.
    if (!(await write(rest, all, whose(rest) || what, stored.keys, left)))
      return forget(user, what, leftKey)
    await clear(what)
    return gone
  }

  /** Until it has stored the new tokens no tab refreshes those before them, which may have ended. */
  const renew = <T extends { data: unknown }>(user: User, run: () => Promise<T>) =>
    alone(async () => {
      const { guard } = await readOf(user)
      const answer = await run()
      const tokens = checked(answer.data, isTokens)
      // Another tab has logged out meanwhile.
      if (!(await write(sessionOf(user, tokens), guard))) await end(tokens)
      return answer
    })

  const requestRefresh = async (refresh_token: string) => {
    const path = "/api/v1/auth/refresh"
    // All other requests wait for it, and would hang with it on a network that is gone.
    const outgoing = { method: "POST", path, body: { refresh_token }, isBackground: true }
    const { data } = await http.repeatedly(outgoing, true, SILENCE)
    return checked(data, isTokens)
  }

  /** Does not take the caller's signal: if the new tokens were lost, the session would end. */
  const refresh = (stale: Stored) =>
    alone(async () => {
      const { session } = await readOf(stale.user)
      if (session.access_token !== stale.access_token) return session
      const answer: Tokens | ApiError = await requestRefresh(session.refresh_token).catch(
        (error) => error,
      )
      // After a log-out meanwhile the used token ends the new ones, too.
      const { session: now, guard } = await readOf(stale.user)
      // This tab was frozen, and another has renewed it.
      if (now.access_token !== session.access_token) return now
      if (isTokens(answer)) {
        const renewed = sessionOf(session.user, answer)
        return (await write(renewed, guard)) ? renewed : (await readOf(stale.user)).session
      }
      if (isAccountDeleted(answer)) await forget(session.user, "queue")
      else if (isUnauthorized(answer))
        await write(undefined, guard, "", [], [[KEY, JSON.stringify({ user: session.user })]])
      // What answered the refresh says nothing about the request that needs it.
      else if (answer.status >= 400 && answer.status < 429) throw unexpected(0, answer)
      throw answer
    })

  /** Returns whether the service has ended the session. */
  const end = async ({ refresh_token, access_token }: Left): Promise<boolean> => {
    try {
      const token = access_token ?? (await requestRefresh(refresh_token)).access_token
      const outgoing = { method: "POST", path: "/api/v1/auth/logout", headers: bearer(token) }
      // Anything else is the answer of a proxy.
      return (await http.once(outgoing, PATIENCE)).status === 204
    } catch (error) {
      // The session had ended, or only the access token has expired.
      return isUnauthorized(error) && (!access_token || end({ refresh_token }))
    }
  }

  /** Ends what was left, until nothing is left: after a pause, because the tab that left it does, too. */
  const endLeft = async () => {
    if (isEnding) return
    isEnding = true
    try {
      let failures = 0
      while (!closing.signal.aborted) {
        const left = [...(await storage.read(LEFT))]
        if (left.length === 0) return
        for (const [key, token] of left)
          if (failures && (await end({ refresh_token: String(token) })))
            await storage.write(new Map([[key, undefined]]))
        await platform.sleep(backOff(platform, failures++), closing.signal)
      }
    } catch {
      // The storage cannot be read now: the next start tries again.
    } finally {
      isEnding = false
    }
  }
  channel.then(endLeft)

  return {
    user: async () => (await readGuarded()).session?.user,
    /** `user`: who is logged in or, if the service has ended the session, who was. */
    stored: readGuarded,
    isOf: (userId: number) => known === String(userId),

    /** Finds out the user of a new session, and stores its tokens. */
    open: async (tokens: Tokens, signal?: AbortSignal) => {
      const path = "/api/v1/users/me"
      const headers = bearer(tokens.access_token)
      const { data } = await http.repeatedly({ method: "GET", path, headers, signal }, true)
      const user = checked(data, isUser)
      await write(sessionOf(user, tokens), undefined)
      return user
    },

    renew,

    /** Forgets the session, and everything of the user: the service has, too. */
    close: (user: User) => forget(user, "queue"),

    /** Forgets the session, and has the service end it: now, or when it can be reached. */
    leave: async (user: User, what: Removal) => {
      const key = LEFT + randomKey()
      const session = await forget(user, what, key)
      // Another tab has logged out, or somebody else in, while edits were sent.
      if (!session) return
      const isEnded = await within(platform, PATIENCE, end(session), closing.signal)
      if (isEnded) await storage.write(new Map([[key, undefined]])).catch(() => {})
      else endLeft()
    },

    /** Ends the session of tokens that are not stored. */
    end,

    /** See `Authorized`. With a `userId`, it fails if another user has logged in since. */
    authorized: async <T>(
      run: (headers: Record<string, string>, user: User) => Promise<T>,
      { userId, signal }: { userId?: number; signal?: AbortSignal | undefined } = {},
    ): Promise<T> => {
      const { session } = await readGuarded()
      if (!session || (userId ?? session.user.id) !== session.user.id) throw notLoggedIn()
      try {
        return await run(bearer(session.access_token), session.user)
      } catch (error) {
        if (!isUnauthorized(error)) throw error
        const renewed = await orAborted(refresh(session), signal)
        return run(bearer(renewed.access_token), renewed.user)
      }
    },

    onChange: listeners.add,
    closeChannel: async () => {
      closing.abort()
      ;(await channel).close()
    },
  }
}
