/** Turns what bodies and queries break into the rules of a problem document, which never contain the value. */
import { Kind, type TSchema, Type } from "@sinclair/typebox"
import { TypeCompiler } from "@sinclair/typebox/compiler"
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors"
import type { ValidationError } from "elysia"
import { type BrokenRule, badRequest, type Problem } from "./problem.ts"
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
const PARAMETERS_READ = 64

const readQuery = (url: string): Record<string, string | Unreadable> => {
  const query: Record<string, string | Unreadable> = Object.create(null)
  const start = url.indexOf("?")
  if (start === -1) return query
  let read = 0
  for (const pair of url.slice(start + 1).split("&")) {
    if (pair === "") continue
    if (read++ === PARAMETERS_READ) break
    const [rawName = "", ...rest] = pair.split("=")
    const name = decode(rawName)
    const value = decode(rest.join("="))
    if (name === undefined || value === undefined) query[name ?? rawName] = notUtf8
    else query[name] = name in query ? repeated : value
  }
  return query
}

/** A transform: it runs after authentication, and before the query is validated. */
export const strictQuery = (context: { request: Request; query: Record<string, unknown> }) => {
  context.query = readQuery(context.request.url)
}

/** The schema of routes without parameters. */
export const noQuery = Type.Object({}, { additionalProperties: false })

/** If more rules are broken, the client learns of the others when these are mended. */
const RULES_TOLD = 20
/** Characters. Longer names of the client are cut in the answer. */
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
    const said = message(error)
    const pointer = shortened(error.path)
    found.set(
      error.path,
      name === "pointer"
        ? { pointer, message: said }
        : { parameter: memberName(pointer), message: said.replace("member", "parameter") },
    )
    if (found.size === RULES_TOLD) break
  }
  return [...found.values()]
}

/**
 * Throws a 400 for a body that breaks its schema. Runs before Elysia's own validation, which would
 * write the whole body into an error message, a dozen times.
 */
export const bodyCheck = (schema: TSchema) => {
  let compiled: ReturnType<typeof TypeCompiler.Compile> | undefined
  return (body: unknown) => {
    compiled ??= TypeCompiler.Compile(schema)
    if (!compiled.Check(body)) throw badRequest(brokenRules(compiled.Errors(body), "pointer"))
  }
}

/** Undefined if the fault is ours: a response that breaks its schema. */
export const validationProblem = (error: ValidationError): Problem | undefined => {
  const { type, validator, value } = error
  if (type !== "query" || !("Errors" in validator)) return undefined
  return badRequest(brokenRules(validator.Errors(value), "parameter"))
}
