/** What is measured: each operation's requests, the status they must get, and who can answer them. */
import { COLLECTOR, HOARDER, PASSWORD, signToken, TODOS_EACH, todoId, USERS } from "./data.ts"

export type Request = {
  method: string
  path: string
  headers: Record<string, string>
  body?: string
}

export type Operation = {
  name: string
  status: number
  /** {n} in them becomes a number that no other request has. */
  requests: Request[]
  /** {n} is the id of a todo that is there, and that nobody touched. */
  needsTodos?: true
  /** Hono and Fastify answer it too. */
  isCommon?: true
  /** Where so many at once would be too many. */
  connections?: number
}

/** Ten digits, so that {n} does not change the length of a body. */
const FIRST_NUMBER = 1_000_000_000

let taken = FIRST_NUMBER
/** So many numbers that nobody else gets: the first of them, which is one of user 1. */
export const takeNumbers = (count: number): number => {
  const first = taken
  taken += Math.ceil(count / USERS) * USERS
  return first
}

const ANOTHER_KEY = "the key of a system that this one does not know, and does not trust"

/** Spread over all users and all of their todos, but the same in every run. */
const spread = (request: (user: number, todo: number) => Request): Request[] =>
  Array.from({ length: 4 * USERS }, (_, i) => {
    const user = (i % USERS) + 1
    return request(user, todoId(user, ((i * 7919) % TODOS_EACH) + 1))
  })

/** {n} is the id of a todo of that user, where the first number is one of user 1. */
const perUser = (request: (user: number) => Request): Request[] =>
  Array.from({ length: USERS }, (_, i) => request(i + 1))

const tokens = new Map<number, string>()
const as = (user: number) => ({
  authorization: `Bearer ${tokens.getOrInsertComputed(user, () => signToken(user))}`,
})
const json = { "content-type": "application/json" }

const get = (user: number, path: string, headers = {}): Request => ({
  method: "GET",
  path: `/api/v1${path}`,
  headers: { ...as(user), ...headers },
})
const send = (method: string, user: number, path: string, body: object, headers = {}): Request => ({
  method,
  path: `/api/v1${path}`,
  headers: { ...as(user), ...json, ...headers },
  body: JSON.stringify(body),
})

const newTodo = { title: "Posted {n}", description: "Two litres, and oats" }
const changes = { title: "Changed {n}", is_completed: true }

/** The cursor is one that todo-api gave out for the last pages of the user with very many todos. */
export const operations = (farCursor: string): Operation[] => [
  {
    name: "GET by id",
    status: 200,
    isCommon: true,
    requests: spread((user, id) => get(user, `/todos/${id}`)),
  },
  {
    name: "GET by id, 304",
    status: 304,
    requests: spread((user, id) => get(user, `/todos/${id}`, { "if-none-match": '"1"' })),
  },
  {
    name: "page of 50",
    status: 200,
    isCommon: true,
    requests: spread((user) => get(user, "/todos?limit=50")),
  },
  {
    name: "page of 50, 304",
    status: 304,
    requests: spread((user) => get(user, "/todos?limit=50", { "if-none-match": "*" })),
  },
  {
    name: "page of 50, far end",
    status: 200,
    requests: [get(HOARDER, `/todos?limit=50&cursor=${farCursor}`)],
  },
  {
    name: "page of 1,000",
    status: 200,
    requests: [get(HOARDER, "/todos?limit=1000")],
  },
  {
    name: "whole list of 200",
    status: 200,
    requests: spread((user) => get(user, "/todos")),
  },
  {
    name: "list of 100,000, streamed",
    status: 200,
    connections: 2,
    requests: [get(COLLECTOR, "/todos")],
  },
  {
    name: "changes of 500",
    status: 200,
    requests: [get(HOARDER, "/todos/changes?limit=500")],
  },
  {
    name: "POST",
    status: 201,
    isCommon: true,
    requests: spread((user) => send("POST", user, "/todos", newTodo)),
  },
  {
    name: "POST, Idempotency-Key",
    status: 201,
    requests: spread((user) =>
      send("POST", user, "/todos", newTodo, { "idempotency-key": "key-{n}" }),
    ),
  },
  {
    name: "PUT",
    status: 200,
    needsTodos: true,
    isCommon: true,
    requests: perUser((user) => send("PUT", user, "/todos/{n}", changes)),
  },
  {
    name: "PUT, If-Match",
    status: 200,
    needsTodos: true,
    requests: perUser((user) => send("PUT", user, "/todos/{n}", changes, { "if-match": '"1"' })),
  },
  {
    name: "DELETE",
    status: 204,
    needsTodos: true,
    isCommon: true,
    requests: perUser((user) => ({ ...get(user, "/todos/{n}"), method: "DELETE" })),
  },
  {
    name: "401, bad token",
    status: 401,
    isCommon: true,
    requests: [
      {
        ...get(1, "/todos/1"),
        headers: { authorization: `Bearer ${signToken(1, ANOTHER_KEY)}` },
      },
    ],
  },
  {
    name: "login",
    status: 200,
    requests: Array.from({ length: USERS }, (_, i) => ({
      method: "POST",
      path: "/api/v1/auth/login",
      headers: json,
      body: JSON.stringify({ email: `user-${i + 1}@example.org`, password: PASSWORD }),
    })),
  },
]

const withNumber = (text: string, number: number) => text.replaceAll("{n}", String(number))

/** The request as HTTP/1.1 has it, {n} left in it. */
export const serialize = ({ method, path, headers, body = "" }: Request): string => {
  const length = Buffer.byteLength(withNumber(body, FIRST_NUMBER))
  const all = { host: "localhost", ...headers, ...(body && { "content-length": String(length) }) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`
}

export const call = (url: string, { method, path, headers, body }: Request, number: number) =>
  fetch(url + withNumber(path, number), {
    method,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [
      name,
      withNumber(value, number),
    ]),
    ...(body && { body: withNumber(body, number) }),
  })
