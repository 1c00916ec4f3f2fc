/** Calls any operation of the API: repeats it where that is safe, and adds a token where needed. */
import type { Answer, Call, CallOptions, Data, Method, Path, Rest, User } from "./calls.ts"
import type { Http } from "./http.ts"
import { randomKey } from "./platform.ts"
import type { Session } from "./session.ts"

/** The options of all calls. `Options` says which of them a certain call takes. */
type AnyOptions = CallOptions & {
  path?: Record<string, unknown>
  query?: Record<string, unknown>
  headers?: Record<string, string>
  body?: unknown
}

const address = (path: string, { path: values = {}, query = {} }: AnyOptions) => {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.append(name, String(value))
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) =>
    encodeURIComponent(String(values[name])),
  )
  return `${filled}?${search}`.replace(/\?$/, "")
}

/** All of the API, but of `auth` only the log-out. */
const NEEDS_TOKEN = /^\/api\/v1\/(?!auth\/(?!logout$))/

/** It ends the session, and answers with the tokens of a new one. */
const PASSWORD = "put /api/v1/users/me/password"
/** What is done twice, or answers otherwise the second time: its session has ended. */
const ONCE = [PASSWORD, "delete /api/v1/users/me"]

/** A create gets an Idempotency-Key, unless the caller gives one, so that it may be repeated. */
export const createCall = (http: Http, session: Session): Call => {
  const call = async <M extends Method, P extends Path<M>>(
    method: M,
    path: P,
    ...[options]: Rest<M, P>
  ): Promise<Answer<Data<M, P>>> => {
    const given = (options ?? {}) as AnyOptions
    const name = `${method} ${path}`
    const isCreate = method === "post" && path === "/api/v1/todos"
    const own = new Headers(given.headers)
    if (isCreate && !own.has("idempotency-key")) own.set("idempotency-key", randomKey())
    // If only the answer was lost, a repeat with If-Match would fail: the todo has changed since.
    const isSafe =
      method === "post" ? own.has("idempotency-key") : !own.has("if-match") && !ONCE.includes(name)
    const send = (headers: Record<string, string>) => {
      const { body, signal } = given
      const outgoing = { method: method.toUpperCase(), path: address(path, given), body, signal }
      const all = { ...Object.fromEntries(own), ...headers }
      return http.repeatedly({ ...outgoing, headers: all }, isSafe)
    }
    const sendAs = (headers: Record<string, string>, user: User) =>
      name === PASSWORD ? session.renew(user, () => send(headers)) : send(headers)
    const answer = NEEDS_TOKEN.test(path)
      ? session.authorized(sendAs, { signal: given.signal })
      : send({})
    return answer as Promise<Answer<Data<M, P>>>
  }
  return call
}
