/** Looks at answers before they are believed: a proxy or a captive portal may answer with any JSON. */
import type { Schemas, Todo, Tokens, User } from "./calls.ts"
import { unexpected } from "./errors.ts"

type Shape<Value> = (value: unknown) => value is Value
type Fields = Record<string, unknown>

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isText = (value: unknown) => typeof value === "string" && value !== ""
const isTextOrNull = (value: unknown) => value === null || typeof value === "string"
const isId = (value: unknown) => Number.isSafeInteger(value) && Number(value) > 0

export const isTokens: Shape<Tokens> = (value): value is Tokens =>
  isObject(value) && isText(value["access_token"]) && isText(value["refresh_token"])

export const isUser: Shape<User> = (value): value is User =>
  isObject(value) && isId(value["id"]) && isTextOrNull(value["email"])

export const isTodo: Shape<Todo> = (value): value is Todo =>
  isObject(value) &&
  isId(value["id"]) &&
  isText(value["title"]) &&
  isTextOrNull(value["description"]) &&
  typeof value["is_completed"] === "boolean" &&
  isText(value["created_at"]) &&
  isText(value["updated_at"])

export const isTodos: Shape<Todo[]> = (value): value is Todo[] =>
  Array.isArray(value) && value.every(isTodo)

type Deleted = Schemas["DeletedTodo"]
export const isDeletedTodos: Shape<Deleted[]> = (value): value is Deleted[] =>
  isTodos(value) && value.every((todo) => "deleted_at" in todo && isText(todo.deleted_at))

type Changes = Schemas["ChangesPage"]
const isChange = (value: unknown) =>
  isObject(value) &&
  isId(value["id"]) &&
  (value["todo"] === null || (isTodo(value["todo"]) && isText(value["etag"])))
export const isChanges: Shape<Changes> = (value): value is Changes =>
  isObject(value) &&
  Array.isArray(value["changes"]) &&
  value["changes"].every(isChange) &&
  isText(value["next"]) &&
  typeof value["has_more"] === "boolean"

export type Result = Schemas["BatchResult"]
const isResult = (value: unknown) => {
  if (!isObject(value) || !Number.isInteger(value["status"])) return false
  const { todo, error } = value
  const isVersion = isTodo(todo) && isText(value["etag"])
  const status = Number(value["status"])
  if (status < 300) return status === 204 || isVersion
  return (status === 412 && isVersion) || (isObject(error) && isText(error["error_code"]))
}
/** The results of a batch of so many operations. */
export const isResultsOf =
  (length: number): Shape<{ results: Result[] }> =>
  (value): value is { results: Result[] } =>
    isObject(value) &&
    Array.isArray(value["results"]) &&
    value["results"].length === length &&
    value["results"].every(isResult)

/** The value, if it has the shape. */
export const checked = <Value>(data: unknown, isValid: Shape<Value>): Value => {
  if (!isValid(data)) throw unexpected(0, "The answer has not the shape of the service's")
  return data
}
