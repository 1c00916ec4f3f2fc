/** A benchmark of wrong answers is none: all servers must say the same before any is measured. */
import { call, type Operation, takeNumbers } from "./operations.ts"
import type { Server } from "./servers.ts"

const COMPARED = [
  "content-type",
  "cache-control",
  "etag",
  "link",
  "location",
  "www-authenticate",
  "x-content-type-options",
]

/** What differs from answer to answer, and only that, replaced by what it is. */
const withoutChance = (text: string, number: number, isWrite: boolean) => {
  const stable = text
    .replaceAll(String(number), "{n}")
    .replace(";charset=utf-8", "")
    .replace(/"timestamp":"[^"]+"/, '"timestamp":"…"')
    .replaceAll(/"(access|refresh)_token":"[^"]+"/g, '"$1_token":"…"')
  return isWrite
    ? stable
        .replace(/"id":\d+/, '"id":…')
        .replace(/\/todos\/\d+$/, "/todos/…")
        .replaceAll(/"(created|updated)_at":"[^"]+"/g, '"$1_at":"…"')
        // An entity tag: the milliseconds of the change.
        .replace(/^"\d{13}"$/, '"…"')
    : stable
}

export const answerOf = async ({ url }: Server, operation: Operation, number: number) => {
  const [request] = operation.requests
  if (!request) throw new Error(`${operation.name} has no request`)
  const response = await call(url, request, number)
  const clean = (text: string) => withoutChance(text, number, request.method !== "GET")
  const headers = COMPARED.map((name) => `${name}: ${clean(response.headers.get(name) ?? "-")}`)
  return { status: response.status, headers, body: clean(await response.text()) }
}

/** The part in which two texts begin to differ. */
const difference = (found: string, expected: string) => {
  let start = 0
  while (found[start] === expected[start]) start++
  const part = (text: string) => text.slice(Math.max(0, start - 100), start + 100)
  return `${part(found)}\ninstead of\n${part(expected)}`
}

type AddTodos = (first: number, count: number) => Promise<void>

/** Rivals have their own ways with headers and refusals: of them only a todo's members are asked. */
export const compareAnswers = async (
  operation: Operation,
  ours: Server,
  others: Server[],
  addTodos: AddTodos,
) => {
  const ask = async (server: Server) => {
    const number = takeNumbers(1)
    if (operation.needsTodos) await addTodos(number, 1)
    const answer = await answerOf(server, operation, number)
    if (answer.status !== operation.status)
      throw new Error(`${operation.name}: ${server.name} said ${answer.status}: ${answer.body}`)
    if (server.kind === "exact") return JSON.stringify(answer, undefined, 2)
    return answer.status < 400 ? answer.body : ""
  }
  for (const other of others) {
    const expected = await ask({ ...ours, kind: other.kind })
    const found = await ask(other)
    if (found !== expected)
      throw new Error(`${operation.name}: ${other.name} said ${difference(found, expected)}`)
  }
}
