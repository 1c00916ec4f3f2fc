/** Turns what bodies and queries break into the rules of a problem document, which never contain the value. */
import { Kind, type TSchema, Type } from "@sinclair/typebox"
import { TypeCompiler } from "@sinclair/typebox/compiler"
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors"
import { type BrokenRule, badRequest } from "./problem.ts"
import { brokenTextRule } from "./schema.ts"

const decode = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part.replaceAll("+", " "))
  } catch {
    return undefined
  }
}

/** A value that no schema accepts, so that one 400 names this parameter together with all other faults. */
export class Unreadable {
  constructor(readonly message: string) {}
}
const repeated = new Unreadable("must not be repeated")
const notUtf8 = new Unreadable("is not valid UTF-8")

/** More than any route takes: if there are more, the 400 names unknown ones among these. */
const PARAMETERS_READ = 26
/** Characters as they were sent: more than any valid parameter has. */
const PARAMETER_LIMIT = 4_096
const tooLong = new Unreadable("is too long")

type Query = Record<string, string | Unreadable>

const readQuery = (url: string): Query => {
  const query: Query = Object.create(null)
  const start = url.indexOf("?")
  let read = 0
  let end = start
  for (let at = start + 1; at > 0 && at < url.length && read < PARAMETERS_READ; at = end + 1) {
    end = url[at] === "&" ? at : url.indexOf("&", at)
    if (end === at) continue
    if (end === -1) end = url.length
    read++
    const pair = url.slice(at, end)
    const equals = pair.indexOf("=")
    const rawName = equals === -1 ? pair : pair.slice(0, equals)
    if (pair.length > PARAMETER_LIMIT) {
      query[rawName.slice(0, NAME_LIMIT)] = tooLong
      continue
    }
    const name = decode(rawName)
    const value = equals === -1 ? "" : decode(pair.slice(equals + 1))
    if (name === undefined || value === undefined) query[name ?? rawName] = notUtf8
    else query[name] = name in query ? repeated : value
  }
  return query
}

/** Elysia's own reading of the query would take longer, and accept more. */
export const leaveQueryUnread = (context: object) => {
  Object.assign(context, { qi: -1 })
}

/** If more rules are broken, the client learns of the others when these are mended. */
const MOST_RULES = 20
/** Characters. Longer names are cut in the response. */
const NAME_LIMIT = 200

/** The message for a value that matches no variant of a union. */
const oneOfThose = (schema: TSchema): string => {
  const said = ((schema["anyOf"] ?? []) as TSchema[]).map((variant) =>
    literals(variant).map(([name, literal]) => `"${name}": ${JSON.stringify(literal)}`),
  )
  return `must be an object with ${said.flat().join(", or ")}`
}

const message = ({ type, schema, value }: ValueError): string => {
  if (value instanceof Unreadable) return value.message
  switch (type) {
    case ValueErrorType.ObjectRequiredProperty:
      return "is required"
    case ValueErrorType.ObjectAdditionalProperties:
      return "is not a known member"
    case ValueErrorType.Object:
      return "must be an object"
    case ValueErrorType.Array:
      return "must be an array"
    case ValueErrorType.ArrayMinItems:
      return `must have at least ${schema["minItems"]} items`
    case ValueErrorType.ArrayMaxItems:
      return `must have at most ${schema["maxItems"]} items`
    case ValueErrorType.Integer:
    case ValueErrorType.IntegerMinimum:
    case ValueErrorType.IntegerMaximum:
      return `must be a whole number from ${schema["minimum"]} to ${schema["maximum"]}`
    case ValueErrorType.Union:
      return oneOfThose(schema)
    case ValueErrorType.Boolean:
      return "must be true or false"
    default:
      return (
        (schema[Kind] === "Text" && brokenTextRule(schema as never, value)) || "has a wrong value"
      )
  }
}

/** The name of a member, without the escapes of its pointer: RFC 6901, section 4. */
const memberName = (pointer: string) => pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~")

/** Does not cut within an escape sequence or a surrogate pair. */
const shortened = (pointer: string) =>
  pointer.length <= NAME_LIMIT
    ? pointer
    : `${pointer.slice(0, NAME_LIMIT).replace(/(~|[\ud800-\udbff])$/, "")}…`

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

/** The literal members of a variant, which tell it from the others. */
const literals = (variant: TSchema): [name: string, value: unknown][] =>
  Object.entries((variant["properties"] ?? {}) as Record<string, TSchema>).flatMap(
    ([name, { const: literal }]) => (literal === undefined ? [] : [[name, literal]]),
  )

/** The errors of a value by the variant of a union that its literal members name. */
function* ofVariant(error: ValueError): Iterable<ValueError> {
  const variants = (error.schema["anyOf"] ?? []) as TSchema[]
  const { value } = error
  const index = variants.findIndex(
    (variant) =>
      isObject(value) && literals(variant).every(([name, literal]) => value[name] === literal),
  )
  yield* error.errors[index] ?? [error]
}

function* inDetail(errors: Iterable<ValueError>): Iterable<ValueError> {
  for (const error of errors)
    if (error.type === ValueErrorType.Union) yield* ofVariant(error)
    else yield error
}

/** One error for each pointer: a missing member also has a wrong type, but that helps nobody. */
const brokenRules = (errors: Iterable<ValueError>, name: "pointer" | "parameter") => {
  const found = new Map<string, BrokenRule>()
  for (const error of inDetail(errors)) {
    if (found.has(error.path)) continue
    const text = message(error)
    const pointer = shortened(error.path)
    found.set(
      error.path,
      name === "pointer"
        ? { pointer, message: text }
        : { parameter: memberName(pointer), message: text.replace("member", "parameter") },
    )
    if (found.size === MOST_RULES) break
  }
  return [...found.values()]
}

/**
 * Throws a 400 for a body or a query that breaks its schema. Runs before Elysia's own validation, which would
 * write all of it into an error message, a dozen times.
 */
export const createCheck = (schema: TSchema, name: "pointer" | "parameter") => {
  let compiled: ReturnType<typeof TypeCompiler.Compile> | undefined
  return (value: unknown) => {
    compiled ??= TypeCompiler.Compile(schema)
    if (!compiled.Check(value)) throw badRequest(brokenRules(compiled.Errors(value), name))
  }
}

/** Options of a route with parameters in its query: `...queryOf(schema)`. They run after authentication. */
export const queryOf = <Schema extends TSchema>(schema: Schema) => {
  const check = createCheck(schema, "parameter")
  const transform = (context: { request: Request; query: unknown }) => {
    const query = readQuery(context.request.url)
    check(query)
    context.query = query
  }
  return { query: schema, transform: [transform] }
}

/** For routes without parameters. */
export const noQuery = () => queryOf(Type.Object({}, { additionalProperties: false })).transform
