/** The types of every call, taken from the OpenAPI document. */
import type { components, paths } from "./api.ts"

export type Schemas = components["schemas"]
export type Todo = Schemas["Todo"]
export type User = Schemas["User"]
export type Tokens = Schemas["Tokens"]
export type Credentials = Schemas["Credentials"]
export type NewTodo = Schemas["NewTodo"]
export type TodoChanges = Schemas["TodoChanges"]
/** A todo and its entity tag, for `if_match`. */
export type Tagged = { todo: Todo; etag: string }

export type Method = "get" | "put" | "post" | "delete" | "patch"
/** The paths that have the method. */
export type Path<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { responses: unknown } ? P : never
}[keyof paths]

type Json<Response> = Response extends { content: { "application/json": infer Value } }
  ? Value
  : undefined
/** The JSON body of a successful answer. Undefined if it has none. */
export type Data<Operation> = Operation extends { responses: infer Responses }
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

export type Options<Operation> = Given<"path", Parameters<Operation>, "path"> &
  Given<"query", Parameters<Operation>, "query"> &
  Given<"headers", Parameters<Operation>, "header"> &
  Given<"body", Content<Operation>, "application/json"> & { signal?: AbortSignal | undefined }

export type Answer<Value> = { data: Value; status: number; headers: Headers }

export type ListQuery = NonNullable<paths["/api/v1/todos"]["get"]["parameters"]["query"]>
export type Sort = NonNullable<ListQuery["sort"]>
