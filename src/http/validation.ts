/** What TypeBox finds wrong, as the broken rules of a problem document: never with the value itself. */
import { Kind } from "@sinclair/typebox"
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors"
import type { ValidationError } from "elysia"
import { type BrokenRule, badRequest, type Problem } from "../errors.ts"
import { Unreadable } from "./query.ts"
import { brokenTextRule } from "./text.ts"

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

/** One entry a pointer: a missing member is also of the wrong type, and need not be told so. */
const brokenRules = (errors: Iterable<ValueError>, name: "pointer" | "parameter") => {
  const found = new Map<string, BrokenRule>()
  for (const error of errors) {
    if (found.has(error.path)) continue
    const said = message(error)
    found.set(
      error.path,
      name === "pointer"
        ? { pointer: error.path, message: said }
        : { parameter: memberName(error.path), message: said.replace("member", "parameter") },
    )
  }
  return [...found.values()]
}

/** Undefined where the fault is ours: a response that breaks its own schema. */
export const validationProblem = (error: ValidationError): Problem | undefined => {
  if (error.type !== "body" && error.type !== "query") return undefined
  const { validator, value } = error
  if (!("Errors" in validator)) return undefined
  return badRequest(
    brokenRules(validator.Errors(value), error.type === "body" ? "pointer" : "parameter"),
  )
}
