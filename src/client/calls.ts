/** The types of every call, taken from the OpenAPI document. */
import type { components, paths } from "./api.ts"

export type Schemas = components["schemas"]
type Schema<Name extends keyof Schemas> = Schemas[Name]
// What is given out is an interface, which an editor shows by its name; what is asked for is a type,
// whose members it shows.
/** A todo as the service has it. */
export interface Todo extends Schema<"Todo"> {}
/** A user as the service has them. */
export interface User extends Schema<"User"> {}
/** What is wrong with one member of the body, or with one parameter. */
export interface BrokenRule extends Schema<"BrokenRule"> {}
export type Tokens = Schemas["Tokens"]
export type Registration = Schemas["Registration"]
export type Credentials = Schemas["Credentials"]
export type PasswordChange = Schemas["PasswordChange"]
export type NewTodo = Schemas["NewTodo"]
export type TodoChanges = Schemas["TodoChanges"]
/** A todo and its entity tag, for `if_match`. */
export interface Tagged {
  todo: Todo
  etag: string
}

export type CallOptions = {
  /** Ends the call, which then rejects with the reason of the signal. */
  signal?: AbortSignal | undefined
}

export type Method = "get" | "put" | "post" | "delete" | "patch"
/** The paths that have the method. */
export type Path<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { responses: unknown } ? P : never
}[keyof paths]

type Same<A, B> = [A, B] extends [B, A] ? true : false
/** A value whose type has a name, by that name. */
type Named<Value> = Value extends readonly (infer One)[]
  ? Named<One>[]
  : Same<Value, Schemas["Todo"]> extends true
    ? Todo
    : Same<Value, Schemas["User"]> extends true
      ? User
      : Value
type Json<Response> = Response extends { content: { "application/json": infer Value } }
  ? Named<Value>
  : undefined
/** The JSON body of a successful answer. Undefined if it has none. */
export type Data<M extends Method, P extends Path<M>> = paths[P][M] extends {
  responses: infer Responses
}
  ? Json<Responses[Extract<keyof Responses, 200 | 201 | 202 | 204>]>
  : never

/** `Member` of `Holder`, renamed to `Name`: left out, optional or required as in `Holder`. */
type Given<Name extends string, Holder, Member extends string> = Member extends keyof Holder
  ? [Exclude<Holder[Member], undefined>] extends [never]
    ? unknown
    : Record<never, never> extends Pick<Holder, Member>
      ? { [N in Name]?: Exclude<Holder[Member], undefined> }
      : { [N in Name]: Holder[Member] }
  : unknown

type Parameters<Operation> = Operation extends { parameters: infer P } ? P : never
type Content<Operation> = Operation extends { requestBody: { content: infer C } } ? C : never

/** The `path`, `query`, `headers` and `body` that an operation takes. */
export type Options<M extends Method, P extends Path<M>> = CallOptions &
  Given<"path", Parameters<paths[P][M]>, "path"> &
  Given<"query", Parameters<paths[P][M]>, "query"> &
  Given<"headers", Parameters<paths[P][M]>, "header"> &
  Given<"body", Content<paths[P][M]>, "application/json">
/** The options may be left out if none of them is required. */
export type Rest<M extends Method, P extends Path<M>> =
  Record<never, never> extends Options<M, P> ? [options?: Options<M, P>] : [options: Options<M, P>]

export interface Answer<Value> {
  /** The JSON body. */
  data: Value
  /** The HTTP status. */
  status: number
  headers: Headers
}

/** See `Client.call`. */
export type Call = <M extends Method, P extends Path<M>>(
  method: M,
  path: P,
  ...[options]: Rest<M, P>
) => Promise<Answer<Data<M, P>>>

/** Which todos of the service are listed, in which order, and how many at once. */
export type ListQuery = NonNullable<paths["/api/v1/todos"]["get"]["parameters"]["query"]>
/** Ascending, or with a minus descending. */
export type Sort = NonNullable<ListQuery["sort"]>
