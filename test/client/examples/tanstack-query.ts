/** TanStack Query, of any framework: queries of the replica, and mutations that work offline too. */
import type {
  MutationObserverOptions,
  QueryClient,
  QueryObserverOptions,
} from "@tanstack/query-core"
import type {
  Filter,
  Key,
  Live,
  LiveTodo,
  NewTodo,
  Sort,
  TodoChanges,
  Undo,
} from "../../../src/client/index.ts"

const KEY = "todos"

/** Call it once: every query of todos then follows the replica. Returns what ends it. */
export const follow = (queries: QueryClient, live: Live) =>
  live.subscribe(() => void queries.invalidateQueries({ queryKey: [KEY] }))

/** The replica is on this device: nothing is stale before it says so, and nothing needs a network. */
const local = { networkMode: "always", staleTime: Number.POSITIVE_INFINITY } as const

/** `useQuery(todosQuery(live, { is_completed: false }))` */
export const todosQuery = (
  live: Live,
  filter: Filter = {},
  sort: Sort = "created_at",
): QueryObserverOptions<readonly LiveTodo[]> => ({
  ...local,
  queryKey: [KEY, filter, sort],
  queryFn: () => live.list(filter, sort),
})

/** `useMutation(createTodo(live))`: done when it is stored here. `live.notices()` tells refusals. */
export const createTodo = (live: Live): MutationObserverOptions<LiveTodo, Error, NewTodo> => ({
  networkMode: "always",
  mutationFn: (todo) => live.create(todo),
})

export const updateTodo = (
  live: Live,
): MutationObserverOptions<void, Error, TodoChanges & { key: Key }> => ({
  networkMode: "always",
  mutationFn: ({ key, ...changes }) => live.update(key, changes),
})

export const deleteTodo = (live: Live): MutationObserverOptions<Undo, Error, Key> => ({
  networkMode: "always",
  mutationFn: (key) => live.delete(key),
})
