/** Looks at answers before they are believed: a proxy or a captive portal may answer with any JSON. */
import type { Schemas, Todo, Tokens, User } from "./calls.ts"
import { type Failure, unexpected } from "./errors.ts"

/** Undefined if it is no JSON. */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Shape<Value> = (value: unknown) => value is Value
type Test = (value: unknown) => boolean

/** An object whose members pass these tests, of which none passes undefined. It may have more. */
const object = <Value>(members: Record<string, Test>) =>
  ((value: unknown) =>
    Object.entries(members).every(([name, test]) => test(Object(value)[name]))) as Shape<Value>
const list = <Value>(isItem: Test) =>
  ((value: unknown) => Array.isArray(value) && value.every(isItem)) as Shape<Value[]>

const isText = (value: unknown) => typeof value === "string" && value !== ""
const isTextOrNull = (value: unknown) => value === null || typeof value === "string"
const isBoolean = (value: unknown) => typeof value === "boolean"
const isId = (value: unknown) => Number.isSafeInteger(value) && Number(value) > 0

const tokens = { access_token: isText, refresh_token: isText }
export const isTokens = object<Tokens>(tokens)
export const isUser = object<User>({ id: isId, email: isTextOrNull })
/** As it is stored. */
export type Session = { user: User; access_token: string; refresh_token: string }
export const isSession = object<Session>({ ...tokens, user: isUser })

const todo = {
  ...{ id: isId, title: isText, description: isTextOrNull, is_completed: isBoolean },
  ...{ created_at: isText, updated_at: isText },
}
export const isTodo = object<Todo>(todo)
export const isTodos = list<Todo>(isTodo)
export const isDeletedTodos = list<Schemas["DeletedTodo"]>(object({ ...todo, deleted_at: isText }))

const isVersion = object({ todo: isTodo, etag: isText })
const isChange = object({ id: isId })
const isDeletion = object({ todo: (value) => value === null })
export const isChanges = object<Schemas["ChangesPage"]>({
  changes: list((value) => isChange(value) && (isDeletion(value) || isVersion(value))),
  next: isText,
  has_more: isBoolean,
})

export type Result = Schemas["BatchResult"]
export const isFailure = object<Failure>({ error_code: isText })
const isResult = (value: unknown) => {
  const { status, error } = Object(value) as Result
  if (status < 300) return status === 204 || isVersion(value)
  return (status === 412 && isVersion(value)) || (status >= 300 && isFailure(error))
}
/** The results of a batch of so many operations. */
export const isResultsOf = (length: number) =>
  object<{ results: Result[] }>({
    results: (value) => list(isResult)(value) && value.length === length,
  })

/** The value, if it has the shape. */
export const checked = <Value>(data: unknown, isValid: Shape<Value>): Value => {
  if (!isValid(data)) throw unexpected()
  return data
}
