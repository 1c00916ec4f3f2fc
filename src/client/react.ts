/**
 * `todo-api/client/react`: the user, the todos and the status as hooks.
 *
 *   <TodoProvider url="https://todo.example"><App /></TodoProvider>
 *
 * The provider opens a client when it is mounted, and closes it when it goes: as often as StrictMode
 * or hot reloading want it. Whoever has a client already gives it instead of the `url`, and closes it.
 */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
} from "react"
import type { Sort, User } from "./calls.ts"
import { ApiError, type Client, type ClientOptions, createClient } from "./index.ts"
import type { Key, Live, Status } from "./live/live.ts"
import type { LiveTodo, Notice } from "./live/model.ts"
import type { Filter } from "./live/view.ts"

/** `user` is undefined until it is known, and null if nobody is logged in. */
type Session = { client: Client; user: User | null | undefined; live: Live | undefined }

const SessionContext = createContext<Session | undefined>(undefined)

/** Whose errors the next error boundary shows, such as STORAGE_FAILED. */
type State = Session | { error: unknown } | undefined

const follow = (client: Client, onChange: (state: State) => void) => {
  let last = 0
  const read = async () => {
    const turn = ++last
    try {
      const user = (await client.user()) ?? null
      const live = user ? await client.todos.live() : undefined
      if (turn === last) onChange({ client, user, live })
    } catch (error) {
      // The user may log out meanwhile.
      const isOut = error instanceof ApiError && error.error_code === "UNAUTHORIZED"
      if (turn === last) onChange(isOut ? { client, user: null, live: undefined } : { error })
    }
  }
  const stop = client.onSessionChange(read)
  read()
  return () => {
    last = -1
    stop()
  }
}

type GivenClient = {
  /** In place of the `url`: whoever gives it closes it. */
  client: Client
}
export type TodoProviderProps = (ClientOptions | GivenClient) & {
  /** What uses the hooks. */
  children?: ReactNode
  /** Shown until it is known whether somebody is logged in. */
  fallback?: ReactNode
}

/** Opens a client when it is mounted, and closes it when it goes. Throws what the storage rejects with. */
export const TodoProvider = (props: TodoProviderProps): ReactElement => {
  const { children, fallback = null } = props
  const given = "client" in props ? props.client : undefined
  const url = "url" in props ? props.url : ""
  const storage = "storage" in props ? props.storage : undefined
  const [state, setState] = useState<State>()
  useEffect(() => {
    const client = given ?? createClient({ url, ...(storage && { storage }) })
    const stop = follow(client, setState)
    return () => {
      stop()
      setState(undefined)
      if (!given) client.close()
    }
  }, [given, url, storage])
  if (state && "error" in state) throw state.error
  return createElement(SessionContext.Provider, { value: state }, state ? children : fallback)
}

const useSession = () => {
  const session = useContext(SessionContext)
  if (!session) throw new Error("There is no TodoProvider around this component")
  return session
}

/** The client: to log in and out, and for every call. */
export const useClient = (): Client => useSession().client
/** The logged-in user. Null if nobody is logged in. */
export const useUser = (): User | null => useSession().user ?? null
/** The replica: to create, change and delete todos. Undefined if nobody is logged in. */
export const useLive = (): Live | undefined => useSession().live

const never = () => () => {}
/** Renders again when the value changes, and not before: `live` gives the same value until then. */
const useValue = <T>(read: (live: Live) => T, otherwise: T): T => {
  const live = useLive()
  const now = () => (live ? read(live) : otherwise)
  return useSyncExternalStore(live?.subscribe ?? never, now, now)
}

const NO_TODOS: readonly LiveTodo[] = []
const NO_NOTICES: readonly Notice[] = []
const NO_STATUS: Status = {
  ...{ pending: 0, is_online: true, is_logged_in: false },
  ...{ has_synced: false, is_stored: true, is_persistent: false },
}

/**
 * The todos that match, in order: `useTodos({ is_completed: false }, "-created_at")`. Default sort:
 * `created_at`. None if nobody is logged in.
 */
export const useTodos = (filter?: Filter, sort?: Sort): readonly LiveTodo[] =>
  useValue((live) => live.list(filter, sort), NO_TODOS)
/** One todo, by its key or id. Undefined if it is not here. */
export const useTodo = (key: Key): LiveTodo | undefined =>
  useValue<LiveTodo | undefined>((live) => live.get(key), undefined)
/** Whether the service is reached, and how many edits it has not confirmed. */
export const useStatus = (): Status => useValue((live) => live.status(), NO_STATUS)
/** What the user has to be told, until `live.dismiss(key)`. */
export const useNotices = (): readonly Notice[] => useValue((live) => live.notices(), NO_NOTICES)
