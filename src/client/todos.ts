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

const PATH = "/api/v1/todos"
const ONE = `${PATH}/{id}` as const

const under = ({ if_match, ...options }: ChangeOptions = {}) => ({
  ...options,
  headers: if_match === undefined ? {} : { "If-Match": if_match },
})

export const createTodos = (call: Call): Todos => ({
  create: async (body, options) => tagged(await call("post", PATH, { ...options, body })),
  get: async (id, options) => tagged(await call("get", ONE, { ...options, path: { id } })),
  update: async (id, body, options) =>
    tagged(await call("patch", ONE, { ...under(options), path: { id }, body })),
  delete: async (id, options) => {
    await call("delete", ONE, { ...under(options), path: { id } })
  },
  list: async (query, options) =>
    checked((await call("get", PATH, { ...options, query: query ?? {} })).data, isTodos),
  async *pages(query, options) {
    let page: ListQuery | undefined = { limit: 100, ...query }
    while (page) {
      const answer: Answer<unknown> = await call("get", PATH, { ...options, query: page })
      yield checked(answer.data, isTodos)
      const next = /[?&]cursor=([^&>]+)[^>]*>; *rel="next"/.exec(answer.headers.get("link") ?? "")
      page = next?.[1] ? { ...page, cursor: decodeURIComponent(next[1]) } : undefined
    }
  },
})
