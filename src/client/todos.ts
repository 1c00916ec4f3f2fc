/** The shorthands for the calls of todos. */
import type { Aborted, Call } from "./call.ts"
import type { Answer, ListQuery, NewTodo, Tagged, Todo, TodoChanges } from "./calls.ts"
import { checked, isTodo, isTodos } from "./shapes.ts"

type Conditions = Aborted & { if_match?: string | undefined }

const tagged = ({ data, headers }: Answer<Todo>): Tagged => ({
  todo: checked(data, isTodo),
  etag: headers.get("etag") ?? "",
})

export const createTodos = (call: Call) => ({
  create: async (body: NewTodo, { signal }: Aborted = {}) =>
    tagged(await call("post", "/api/v1/todos", { body, signal })),
  get: async (id: number, { signal }: Aborted = {}) =>
    tagged(await call("get", "/api/v1/todos/{id}", { path: { id }, signal })),
  update: async (id: number, body: TodoChanges, { if_match, signal }: Conditions = {}) => {
    const headers = if_match === undefined ? {} : { "If-Match": if_match }
    return tagged(
      await call("patch", "/api/v1/todos/{id}", { path: { id }, headers, body, signal }),
    )
  },
  delete: async (id: number, { if_match, signal }: Conditions = {}) => {
    const headers = if_match === undefined ? {} : { "If-Match": if_match }
    await call("delete", "/api/v1/todos/{id}", { path: { id }, headers, signal })
  },
  /** All todos that match, unless there is a `limit`. */
  list: async (query: ListQuery = {}, { signal }: Aborted = {}) =>
    checked((await call("get", "/api/v1/todos", { query, signal })).data, isTodos),

  /** Yields one page after the other. The default `limit` of a page is 100. */
  async *pages(query: ListQuery = {}, { signal }: Aborted = {}): AsyncGenerator<Todo[], void> {
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
