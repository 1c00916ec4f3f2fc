/** The client: calls that are typed by the OpenAPI document, and shorthands for the usual ones. */
import { createCall } from "./call.ts"
import type { Call, CallOptions, Credentials, PasswordChange, Registration, User } from "./calls.ts"
import { ApiError, hasCode, isAccountDeleted, isUnanswered, notLoggedIn } from "./errors.ts"
import { createHttp } from "./http.ts"
import { type Live, type OpenLive, openLive, until } from "./live/live.ts"
import { storedKeys } from "./live/store.ts"
import { type Platform, within } from "./platform.ts"
import { createSession } from "./session.ts"
import { checked, isTokens } from "./shapes.ts"
import { browserStorage } from "./storage/browser.ts"
import { memoryStorage } from "./storage/memory.ts"
import type { Storage } from "./storage/storage.ts"
import { createTodos, type Todos } from "./todos.ts"

export type ClientOptions = {
  /** The address of the service, such as `https://todo.example`. */
  url: string
  /** Default: IndexedDB in browsers, or memory elsewhere and where the browser blocks IndexedDB. */
  storage?: Storage
}

/** What becomes of edits that are not sent yet, when their user logs out. */
export type LogOutOptions = CallOptions & {
  /**
   * `send` (default): they are sent, for 5 seconds at most; if some are left, it rejects with
   * EDITS_PENDING, and nothing has happened. `keep`: they wait here until the same user logs in again,
   * as they always do where the service has ended the session. `discard`: they are lost.
   */
  pending?: "send" | "keep" | "discard"
}

type LiveOptions = CallOptions & {
  /** `synced`: it waits until this device has had all todos at some time. Default: `opened`. */
  until?: "opened" | "synced"
}

/** A client of the service, for one user at a time. */
export interface Client {
  /** Calls any operation of the service. What may be repeated is repeated where the answer is lost. */
  call: Call
  /** The todos of the logged-in user: on the service, and as a replica by `live`. */
  todos: Todos & {
    /** The replica, which syncs by itself. Every call resolves to the same one until that is closed. */
    live(options?: LiveOptions): Promise<Live>
  }
  /** Registers, and logs in. Rejects with EMAIL_TAKEN or REGISTRATION_CLOSED, among others. */
  register(registration: Registration, options?: CallOptions): Promise<User>
  /** Rejects with INVALID_CREDENTIALS if the email or the password is wrong. */
  logIn(credentials: Credentials, options?: CallOptions): Promise<User>
  /**
   * Removes the replica from this device. Without a network it succeeds here, and the service ends
   * the session when it is reached again. Rejects with EDITS_PENDING: see `pending`. With that, and
   * with STORAGE_FAILED, nothing has happened.
   */
  logOut(options?: LogOutOptions): Promise<void>
  /** The user of the stored session, or undefined if nobody is logged in. Works offline, too. */
  user(): Promise<User | undefined>
  /**
   * Calls the listener when a user logs in or out, in any tab, or when the session has ended. Returns
   * what removes the listener.
   */
  onSessionChange(listener: () => void): () => void
  /**
   * Ends every other session of the user. Rejects with INVALID_CREDENTIALS if the current password
   * is wrong. NETWORK_ERROR: nobody knows whether it was done.
   */
  changePassword(passwords: PasswordChange, options?: CallOptions): Promise<void>
  /**
   * Deletes the account and everything that is stored of it, here too, and logs out every tab. With
   * a password it is only done if that is right.
   */
  deleteAccount(password?: string, options?: CallOptions): Promise<void>
  /** Stops all background work. Keeps what is stored. */
  close(): void
}

/** Milliseconds that a log-out waits for edits to be sent. */
const SENDING = 5_000

export const createClientOn = (platform: Platform, options: ClientOptions): Client => {
  const url = options.url.replace(/\/+$/, "")
  const storage = options.storage ?? browserStorage(`todo-api ${url}`) ?? memoryStorage()
  const http = createHttp(platform, url)
  const session = createSession(platform, storage, http, {
    keysOf: ({ id }, what) => storedKeys(storage, id, what),
    clear: (what) =>
      live?.opened.then(
        ({ clear }) => clear(what),
        () => {},
      ),
  })
  const call = createCall(http, session)
  let live: { userId: number; end: AbortController; opened: Promise<OpenLive> } | undefined
  let isClosed = false
  /** The email of a registration that was done, or whose answer was lost: it may be the user's. */
  let registered: string | undefined

  const closeLive = () => live?.end.abort()

  const logIn: Client["logIn"] = async (body, { signal } = {}) => {
    const { data } = await call("post", "/api/v1/auth/login", { body, signal })
    const user = await session.open(checked(data, isTokens), signal)
    registered = undefined
    return user
  }

  const register: Client["register"] = async (body, { signal } = {}) => {
    const { email, password } = body
    try {
      await call("post", "/api/v1/auth/register", { body, signal })
      registered = email
    } catch (error) {
      if (isUnanswered(error)) registered = email
      else if (!hasCode(error, "EMAIL_TAKEN") || registered !== email) throw error
      // If the service has registered it, the password is right.
      return logIn({ email, password }, { signal }).catch(() => {
        throw error
      })
    }
    return logIn({ email, password }, { signal })
  }

  const openedLive = async (): Promise<OpenLive> => {
    const user = await session.user()
    if (!user) throw notLoggedIn()
    // Meanwhile, perhaps. It would lead all tabs, and never hear of a login.
    if (isClosed) throw new Error("The client is closed")
    if (live?.userId !== user.id || live.end.signal.aborted) {
      closeLive()
      const end = new AbortController()
      const opened = openLive({ platform, storage, http, session, userId: user.id, end })
      live = { userId: user.id, end, opened }
      // The next call tries again.
      opened.catch(() => end.abort())
    }
    return live.opened
  }

  const todos: Client["todos"] = {
    ...createTodos(call),
    live: async ({ until: state, signal } = {}) => {
      const opened = await openedLive()
      if (state === "synced") await until(opened, () => opened.status().has_synced, signal)
      return opened
    },
  }

  return {
    call,
    todos,
    register,
    logIn,

    logOut: async ({ pending = "send", signal } = {}) => {
      const { session: open, user } = await session.stored()
      if (!user) return
      // Where the session has ended nothing can be sent: edits wait for the next login.
      if (pending === "send" && open) {
        const opened = await openedLive()
        opened.retry()
        const sent = until(opened, () => opened.unsent() === 0)
        await within(platform, SENDING, sent, signal)
        signal?.throwIfAborted()
        const left = opened.unsent()
        const detail = `Not sent yet: ${left} edits`
        if (left > 0)
          throw new ApiError({ error_code: "EDITS_PENDING", status: 0, detail, pending: left })
      }
      await session.leave(user, pending === "discard" ? "queue" : "replica")
    },

    user: session.user,
    onSessionChange: session.onChange,

    changePassword: async (body, { signal } = {}) => {
      const user = await session.user()
      try {
        await call("put", "/api/v1/users/me/password", { body, signal })
      } catch (error) {
        if (!isUnanswered(error) || !user?.email) throw error
        // If it was done, the new password is right, and the session has ended.
        await logIn({ email: user.email, password: body.new_password }, { signal }).catch(() => {
          throw error
        })
      }
    },

    deleteAccount: async (password, { signal } = {}) => {
      const user = await session.user()
      if (!user) throw notLoggedIn()
      if (password !== undefined && user.email !== null) {
        const body = { email: user.email, password }
        const { data } = await call("post", "/api/v1/auth/login", { body, signal })
        await session.end(checked(data, isTokens))
      }
      const headers = await session.authorized(async (given) => given)
      try {
        await call("delete", "/api/v1/users/me", { signal })
      } catch (error) {
        if (!isUnanswered(error)) throw error
        // If it was done, the service says so of every token. Any other may have ended by itself.
        const asking = { method: "GET", path: "/api/v1/users/me", headers, signal }
        const asked = await http.repeatedly(asking, true).catch((found) => found)
        if (!isAccountDeleted(asked)) throw error
      }
      await session.close(user)
    },

    close: () => {
      isClosed = true
      closeLive()
      session.closeChannel()
    },
  }
}
