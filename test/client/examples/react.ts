/** React: the copy by useSyncExternalStore. `live` is what `await client.todos.live()` gives. */
import { useSyncExternalStore } from "react"
import type { Filter, Live, Sort } from "../../../src/client/index.ts"

/** Renders again when something changes, and not before: `list` gives the same array until then. */
const useLive = <T>(live: Live, read: () => T): T =>
  useSyncExternalStore(live.subscribe, read, read)

/** `const todos = useTodos(live, { is_completed: false }, "-created_at")` */
export const useTodos = (live: Live, filter?: Filter, sort?: Sort) =>
  useLive(live, () => live.list(filter, sort))

export const useTodo = (live: Live, id: number) => useLive(live, () => live.get(id))

/** Whether the service is reached, and how many edits it has not confirmed. */
export const useStatus = (live: Live) => useLive(live, live.status)

/** What the user has to be told. */
export const useNotices = (live: Live) => useLive(live, live.notices)
