/** The client: calls that are typed by the OpenAPI document, and shorthands for the usual ones. */
import { type Aborted, createCall } from "./call.ts"
import type { Credentials, User } from "./calls.ts"
import { isUnauthorized, notLoggedIn } from "./errors.ts"
import { createHttp } from "./http.ts"
import { type Live, openLive } from "./live/live.ts"
import { removeCopy } from "./live/store.ts"
import type { Platform } from "./platform.ts"
import { createSession } from "./session.ts"
import { browserStorage } from "./storage/browser.ts"
import { memoryStorage } from "./storage/memory.ts"
import type { Storage } from "./storage/storage.ts"
import { createTodos } from "./todos.ts"

export type ClientOptions = {
  /** The address of the service, such as `https://todo.example`. */
  url: string
  /** Default: IndexedDB in browsers, or memory elsewhere and where the browser blocks IndexedDB. */
  storage?: Storage
}

export const createClientOn = (platform: Platform, options: ClientOptions) => {
  const url = options.url.replace(/\/+$/, "")
  const storage = options.storage ?? browserStorage(`todo-api ${url}`) ?? memoryStorage()
  const http = createHttp(platform, url)
  const session = createSession(platform, storage, http)
  const call = createCall(http, session)
  let live: { userId: number; opened: Promise<Live> } | undefined

  const closeLive = () => {
    live?.opened.then(
      ({ close }) => close(),
      () => {},
    )
    live = undefined
  }

  const logIn = async (body: Credentials, { signal }: Aborted = {}): Promise<User> => {
    const { data } = await call("post", "/api/v1/auth/login", { body, signal })
    return session.open(data, signal)
  }

  const todos = {
    ...createTodos(call),

    /** The local copy of the logged-in user's todos. Every call returns the same one. */
    live: async (): Promise<Live> => {
      const user = await session.user()
      if (!user) throw notLoggedIn()
      if (live?.userId !== user.id) {
        closeLive()
        const opened = openLive({ platform, storage, http, session, userId: user.id })
        live = { userId: user.id, opened }
        // The next call tries again.
        opened.catch(() => {
          if (live?.opened === opened) live = undefined
        })
      }
      return live.opened
    },
  }

  return {
    call,
    todos,
    register: async (body: { email: string; password: string }, { signal }: Aborted = {}) => {
      await call("post", "/api/v1/auth/register", { body, signal })
      return logIn(body, { signal })
    },
    logIn,

    /**
     * Removes the copy from this device. Edits that are not sent yet stay here until the same user
     * logs in again.
     */
    logOut: async ({ signal }: Aborted = {}) => {
      const user = await session.user()
      closeLive()
      try {
        await call("post", "/api/v1/auth/logout", { signal })
      } catch (error) {
        // The session had already ended.
        if (!isUnauthorized(error)) throw error
      } finally {
        await session.close()
        if (user) await removeCopy(platform, storage, user.id)
      }
    },

    /** The user of the stored session. Works offline, too. */
    user: () => session.user(),
    /** Calls the listener when a user logs in or out, in any tab, or when the session has ended. */
    onSessionChange: session.onChange,

    /** Ends every other session of the user. */
    changePassword: async (
      body: { current_password: string; new_password: string },
      { signal }: Aborted = {},
    ) => {
      await call("put", "/api/v1/users/me/password", { body, signal })
    },

    /** Stops all background work. Keeps what is stored. */
    close: () => {
      closeLive()
      session.closeChannel()
    },
  }
}

export type Client = ReturnType<typeof createClientOn>
