/** What TypeBox finds wrong, as the broken rules of a problem document: never with the value itself. */
import { Kind, type TSchema } from "@sinclair/typebox"
import { TypeCompiler } from "@sinclair/typebox/compiler"
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors"
import type { ValidationError } from "elysia"
import { type BrokenRule, badRequest, type Problem } from "../errors.ts"
import { Unreadable } from "./query.ts"
import { brokenTextRule } from "./text.ts"

/** Whoever breaks more rules is told of the others when these are mended. */
const RULES_TOLD = 20
/** Characters: a name that the client made up is not sent back to it in full length. */
const NAME_LIMIT = 200

const message = ({ type, schema, value }: ValueError): string => {
  if (value instanceof Unreadable) return value.message
  switch (type) {
    case ValueErrorType.ObjectRequiredProperty:
      return "is required"
    case ValueErrorType.ObjectAdditionalProperties:
      return "is not a known member"
    case ValueErrorType.Object:
      return "must be an object"
    case ValueErrorType.Boolean:
      return "must be true or false"
    default:
      return (
        (schema[Kind] === "Text" && brokenTextRule(schema as never, value)) || "has a wrong value"
      )
  }
}

/** The name of a member that is no pointer: RFC 6901, section 4. */
const memberName = (pointer: string) => pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~")

/** Neither an escape sequence nor a surrogate pair is cut in two. */
const shortened = (pointer: string) =>
  pointer.length <= NAME_LIMIT
    ? pointer
    : `${pointer.slice(0, NAME_LIMIT).replace(/(~|[\ud800-\udbff])$/, "")}…`

/** One entry a pointer: a missing member is also of the wrong type, and need not be told so. */
const brokenRules = (errors: Iterable<ValueError>, name: "pointer" | "parameter") => {
  const found = new Map<string, BrokenRule>()
  for (const error of errors) {
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
 * Throws the 400 of a body that breaks its schema. Before Elysia looks at it: that would write the
 * whole body, a dozen times, into the message of an error.
 */
export const bodyJudge = (schema: TSchema) => {
  let compiled: ReturnType<typeof TypeCompiler.Compile> | undefined
  return (body: unknown) => {
    compiled ??= TypeCompiler.Compile(schema)
    if (!compiled.Check(body)) throw badRequest(brokenRules(compiled.Errors(body), "pointer"))
  }
}

/** Undefined where the fault is ours: a response that breaks its own schema. */
export const validationProblem = (error: ValidationError): Problem | undefined => {
  const { type, validator, value } = error
  if (type !== "query" || !("Errors" in validator)) return undefined
  return badRequest(brokenRules(validator.Errors(value), "parameter"))
}
