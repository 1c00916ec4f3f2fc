/** The session: tokens that all tabs share, and one refresh for all requests that need it. */
import type { Answer, Tokens, User } from "./calls.ts"
import { isUnauthorized, notLoggedIn } from "./errors.ts"
import type { Http } from "./http.ts"
import { createListeners } from "./listeners.ts"
import { orAborted, type Platform } from "./platform.ts"
import type { Storage } from "./storage/storage.ts"

type Stored = { user: User; access_token: string; refresh_token: string }
const KEY = "session"

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** The type of an answer is not checked: the service is trusted to follow its OpenAPI document. */
const as = <Value>({ data }: Answer<unknown>) => data as Value

/** Calls `run` with the header of the access token, and once more with a new token after a 401. */
export type Authorized = <T>(run: (headers: Record<string, string>) => Promise<T>) => Promise<T>

export type Session = ReturnType<typeof createSession>

export const createSession = (platform: Platform, storage: Storage, http: Http) => {
  const listeners = createListeners()
  /** The id of the logged-in user, as far as this tab knows. Empty if nobody is logged in. */
  let known: string | undefined
  /** A session that a full storage did not accept. All open tabs then have it in memory. */
  let unstored: { session?: Stored | undefined } | undefined

  const whose = (session: Stored | undefined) => String(session?.user.id ?? "")
  /** Calls the listeners if the user is another one: not after a refresh. */
  const tell = (user: string) => {
    if (user === known) return
    known = user
    listeners.call()
  }
  const read = async () => {
    const stored = unstored ?? { session: (await storage.read(KEY)) as Stored | undefined }
    // Another tab may have told of one during the read.
    const { session } = unstored ?? stored
    known ??= whose(session)
    return session
  }

  /** The storage may get another name by its first read: see `browserStorage`. */
  const name = () => `${storage.name}:session`
  const channel = read()
    .catch(() => {})
    .then(() =>
      // A message is the user, or a session that is not stored.
      platform.channel(name(), (message) => {
        unstored = message.startsWith("{") ? JSON.parse(message) : undefined
        tell(unstored ? whose(unstored.session) : message)
      }),
    )
  const alone = async <T>(run: () => Promise<T>) => {
    await channel
    return platform.lock(name(), undefined, run)
  }

  const write = async (session: Stored | undefined) => {
    try {
      await storage.update(KEY, () => session)
      unstored = undefined
    } catch {
      unstored = { session }
    }
    const { post } = await channel
    post(unstored ? JSON.stringify(unstored) : whose(session))
    // The stored token is used up: a tab that is opened later would end the session with it.
    if (unstored) await storage.update(KEY, () => undefined).catch(() => {})
    tell(whose(session))
  }

  /** Stores the tokens of a new session. */
  const replace = (user: User, { access_token, refresh_token }: Tokens) =>
    alone(() => write({ user, access_token, refresh_token }))

  /** Does not take the caller's signal: if the new tokens were lost, the session would end. */
  const refresh = (stale: Stored) =>
    alone(async () => {
      const session = await read()
      if (session?.user.id !== stale.user.id) throw notLoggedIn()
      if (session.access_token !== stale.access_token) return session
      const { refresh_token } = session
      try {
        const path = "/api/v1/auth/refresh"
        const outgoing = { method: "POST", path, body: { refresh_token } }
        const tokens = as<Tokens>(await http.repeatedly(outgoing, true))
        const { access_token } = tokens
        const renewed = { user: session.user, access_token, refresh_token: tokens.refresh_token }
        await write(renewed)
        return renewed
      } catch (error) {
        if (isUnauthorized(error)) await write(undefined)
        throw error
      }
    })

  return {
    user: async () => (await read())?.user,

    /** Finds out the user of a new session, and stores its tokens. */
    open: async (tokens: Tokens, signal?: AbortSignal) => {
      const path = "/api/v1/users/me"
      const headers = bearer(tokens.access_token)
      const user = as<User>(await http.repeatedly({ method: "GET", path, headers, signal }, true))
      await replace(user, tokens)
      return user
    },

    replace,

    close: () => alone(() => write(undefined)),

    /** See `Authorized`. With a `userId`, it fails if another user has logged in since. */
    authorized: async <T>(
      run: (headers: Record<string, string>, user: User) => Promise<T>,
      { userId, signal }: { userId?: number; signal?: AbortSignal | undefined } = {},
    ): Promise<T> => {
      const session = await read()
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
    closeChannel: async () => (await channel).close(),
  }
}
