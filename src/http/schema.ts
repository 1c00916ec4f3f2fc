/** The schemas that all use: texts, whose lengths count code points, parameters, ids. */
import { Kind, type TProperties, type TSchema, Type, TypeRegistry } from "@sinclair/typebox"
import { t } from "elysia"

type TextOptions = {
  description?: string
  examples?: string[]
  minLength?: number
  maxLength?: number
  pattern?: string
  /** What else must hold, said in the description: not every engine knows Unicode's properties. */
  isAllowed?: (text: string) => boolean
  /** The message if `pattern` does not match, or `isAllowed` is false. */
  patternMessage?: string
  /** White space at both ends does not count: the handler removes it. */
  trimmed?: boolean
  format?: string
}

/** Compiled once, because that takes longer than the rest of a check. */
const PATTERN = Symbol("pattern")

type TextSchema = TextOptions & { nullable?: boolean; [Kind]: "Text"; [PATTERN]?: RegExp }

const codePoints = (value: string) => [...value].length

/** The message for the rule that `value` breaks, or undefined. */
export const brokenTextRule = (schema: TextSchema, value: unknown): string | undefined => {
  if (value === null && schema.nullable) return undefined
  if (typeof value !== "string")
    return schema.nullable ? "must be a string or null" : "must be a string"
  if (value.includes("\0")) return "must not contain U+0000"
  if (!value.isWellFormed()) return "must not contain lone surrogates"
  const text = schema.trimmed ? value.trim() : value
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema
  // A string has at most as many code points as UTF-16 units, and at least half as many.
  if (text.length < minLength || (text.length < 2 * minLength && codePoints(text) < minLength))
    return minLength === 1 ? "must not be empty" : `must have at least ${minLength} characters`
  if (text.length > 2 * maxLength || (text.length > maxLength && codePoints(text) > maxLength))
    return `must have at most ${maxLength} characters`
  const isRight = schema[PATTERN]?.test(text) !== false && schema.isAllowed?.(text) !== false
  return isRight ? undefined : (schema.patternMessage ?? "has a wrong form")
}

/** Makes `Text` known to TypeBox. To be called before anything is checked. */
export const registerText = () =>
  TypeRegistry.Set<TextSchema>(
    "Text",
    (schema, value) => brokenTextRule(schema, value) === undefined,
  )

const kindOf = ({ pattern }: TextOptions) => ({
  [Kind]: "Text",
  ...(pattern !== undefined && { [PATTERN]: new RegExp(pattern, "u") }),
})

const text = <T>(options: TextOptions & { nullable?: true }) =>
  t.Unsafe<T>({ ...options, type: "string", ...kindOf(options) })

export const Text = (options: TextOptions = {}) => text<string>(options)
export const NullableText = (options: TextOptions = {}) =>
  text<string | null>({ ...options, nullable: true })

type ParameterOptions = TextOptions & {
  type: "string" | "integer" | "boolean"
  enum?: string[]
  minimum?: number
  maximum?: number
}

/** A parameter of a query: a text, documented as the `type` that it stands for. */
export const Parameter = <T extends string = string>(options: ParameterOptions) =>
  t.Unsafe<T>({ ...options, ...kindOf(options) })

/**
 * Integers that every JSON client can represent. Not Elysia's `t.Integer`: that also accepts strings, so
 * Elysia interprets the schema of a response that contains one, which takes five times as long.
 */
export const id = Type.Integer({
  // Without it generated clients in typed languages use 32 bits.
  format: "int64",
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
})

/** An object with these members and no others, by the name that the document gives it. */
export const shape = <Members extends TProperties>(
  $id: string,
  members: Members,
  options: { description?: string; examples?: object[] } = {},
) => t.Object(members, { $id, ...options, additionalProperties: false })

export const instant = (options: { description?: string } = {}) =>
  t.String({ format: "date-time", ...options })

export const nullable = <Schema extends TSchema>(
  schema: Schema,
  options: { description?: string } = {},
) => t.Union([schema, t.Null()], options)
