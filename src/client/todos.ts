/** The shorthands for the calls of todos. */
import type {
  Answer,
  Call,
  CallOptions,
  ListQuery,
  NewTodo,
  Tagged,
  Todo,
  TodoChanges,
} from "./calls.ts"
import { checked, isTodo, isTodos } from "./shapes.ts"

export type ChangeOptions = CallOptions & {
  /** An entity tag: rejects with PRECONDITION_FAILED if the todo has another one. */
  if_match?: string | undefined
}

/** Calls to the service itself, without the replica. They reject with NETWORK_ERROR offline. */
export interface Todos {
  /** Is repeated where the answer is lost, and creates the todo once. */
  create(todo: NewTodo, options?: CallOptions): Promise<Tagged>
  /** Rejects with TODO_NOT_FOUND if there is none. */
  get(id: number, options?: CallOptions): Promise<Tagged>
  /** Members that are left out stay as they are. */
  update(id: number, changes: TodoChanges, options?: ChangeOptions): Promise<Tagged>
  /** Moves it to the trash. */
  delete(id: number, options?: ChangeOptions): Promise<void>
  /** All todos that match, unless there is a `limit`. */
  list(query?: ListQuery, options?: CallOptions): Promise<Todo[]>
  /** Yields one page after the other. The default `limit` of a page is 100. */
  pages(query?: ListQuery, options?: CallOptions): AsyncGenerator<Todo[], void>
}

const tagged = ({ data, headers }: Answer<Todo>): Tagged => ({
  todo: checked(data, isTodo),
  etag: headers.get("etag") ?? "",
})

export const createTodos = (call: Call): Todos => ({
  create: async (body, { signal } = {}) =>
    tagged(await call("post", "/api/v1/todos", { body, signal })),
  get: async (id, { signal } = {}) =>
    tagged(await call("get", "/api/v1/todos/{id}", { path: { id }, signal })),
  update: async (id, body, { if_match, signal } = {}) => {
    const headers = if_match === undefined ? {} : { "If-Match": if_match }
    return tagged(
      await call("patch", "/api/v1/todos/{id}", { path: { id }, headers, body, signal }),
    )
  },
  delete: async (id, { if_match, signal } = {}) => {
    const headers = if_match === undefined ? {} : { "If-Match": if_match }
    await call("delete", "/api/v1/todos/{id}", { path: { id }, headers, signal })
  },
  list: async (query = {}, { signal } = {}) =>
    checked((await call("get", "/api/v1/todos", { query, signal })).data, isTodos),
  async *pages(query = {}, { signal } = {}) {
    let cursor = query.cursor
    do {
      const page = { limit: 100, ...query, ...(cursor !== undefined && { cursor }) }
      const { data, headers } = await call("get", "/api/v1/todos", { query: page, signal })
      yield checked(data, isTodos)
      const next = headers.get("link")?.match(/<([^>]+)>; *rel="next"/)?.[1]
      cursor = new URLSearchParams(next?.split("?")[1]).get("cursor") ?? undefined
    } while (cursor !== undefined)
  },
})
