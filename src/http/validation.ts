/** Turns what bodies and queries break into the rules of a problem document, which never contain the value. */
import { Kind, type TSchema, Type } from "@sinclair/typebox"
import { TypeCompiler } from "@sinclair/typebox/compiler"
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors"
import { t } from "elysia"
import { type BrokenRule, badRequest } from "./problem.ts"
import { brokenTextRule } from "./schema.ts"

/** A value that no schema accepts, so that one 400 names this parameter together with all other faults. */
class Unreadable {
  constructor(readonly message: string) {}
}
const repeated = new Unreadable("must not be repeated")
const notUtf8 = new Unreadable("is not valid UTF-8")

/** More than any route takes: if there are more, the 400 names unknown ones among these. */
const PARAMETERS_READ = 26
/** Characters as they were sent: more than any valid parameter has. */
const PARAMETER_LIMIT = 4_096
const tooLong = new Unreadable("is too long")

const decode = (part: string) => {
  try {
    return decodeURIComponent(part.replaceAll("+", " "))
  } catch {
    return notUtf8
  }
}

const readQuery = (url: string) => {
  const query: Record<string, string | Unreadable> = Object.create(null)
  const start = url.indexOf("?")
  if (start === -1) return query
  for (const [pair] of url
    .slice(start + 1)
    .matchAll(/[^&]+/g)
    .take(PARAMETERS_READ)) {
    const [rawName = ""] = pair.split("=", 1)
    if (pair.length > PARAMETER_LIMIT) {
      query[rawName.slice(0, PARAMETER_LIMIT)] = tooLong
      continue
    }
    const [name, value] = [decode(rawName), decode(pair.slice(rawName.length + 1))]
    if (name instanceof Unreadable) query[rawName] = name
    else query[name] = name in query ? repeated : value
  }
  return query
}

/** Elysia's own reading of the query would take longer, and accept more. */
export const leaveQueryUnread = (context: { request: Request; qi?: number }) => {
  context.qi = -1
}

/** If more rules are broken, the client learns of the others when these are mended. */
const MOST_RULES = 20

const variantsOf = (union: TSchema) => (union["anyOf"] ?? []) as TSchema[]

/** The message for a value that matches no variant of a union. */
const oneOfThose = (union: TSchema): string => {
  const said = variantsOf(union)
    .flatMap(literals)
    .map(([name, literal]) => `"${name}": ${JSON.stringify(literal)}`)
  return `must be an object with ${said.join(", or ")}`
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

/** The literal members of a variant, which tell it from the others. */
const literals = (variant: TSchema): [name: string, value: unknown][] =>
  Object.entries((variant["properties"] ?? {}) as Record<string, TSchema>).flatMap(
    ([name, { const: literal }]) => (literal === undefined ? [] : [[name, literal]]),
  )

/** In place of the error of a union those of the variant that the literal members of the value name. */
function* inDetail(errors: Iterable<ValueError>): Iterable<ValueError> {
  for (const error of errors) {
    const isNamed = (variant: TSchema) =>
      literals(variant).every(([name, literal]) => Object(error.value)[name] === literal)
    const variants = error.type === ValueErrorType.Union ? variantsOf(error.schema) : []
    yield* error.errors[variants.findIndex(isNamed)] ?? [error]
  }
}

/** One error for each pointer: a missing member also has a wrong type, but that helps nobody. */
const brokenRules = (errors: Iterable<ValueError>, name: "pointer" | "parameter") => {
  const found = new Map<string, BrokenRule>()
  for (const error of inDetail(errors)) {
    const pointer = error.path
    if (found.has(pointer)) continue
    const text = message(error)
    // Without the escapes of a pointer: RFC 6901, section 4.
    const parameter = pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~")
    found.set(
      pointer,
      name === "pointer"
        ? { pointer, message: text }
        : { parameter, message: text.replace("member", "parameter") },
    )
    if (found.size === MOST_RULES) break
  }
  return [...found.values()]
}

/**
 * Throws a 400 for a body or a query that breaks its schema. In place of Elysia's own validation, which would
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
  return { query: t.NoValidate(schema), transform: [transform] }
}

/** For routes without parameters. */
export const noQuery = () => queryOf(Type.Object({}, { additionalProperties: false })).transform
