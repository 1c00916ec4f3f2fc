/** Translates a TypeBox schema into the dialect of JSON Schema that OpenAPI 3.0 uses. */
import { type Json, referTo } from "./headers.ts"

export type Schema = Json & {
  $id?: string
  anyOf?: Schema[]
  examples?: unknown[]
  /** The schema to document, where the route parses the value itself. */
  encodes?: Schema
  properties?: Record<string, Schema>
  /** Properties that are accepted, but that nobody needs to know of. */
  undocumented?: string[]
  /** The content type of an answer that is not JSON. */
  contentType?: string
}

/** Keywords that OpenAPI 3.0 expresses in another way, or that only TypeBox and `Text` know. */
const TRANSLATED = new Set([
  "$id",
  "anyOf",
  "const",
  "examples",
  "isAllowed",
  "patternMessage",
  "trimmed",
  "contentType",
  "undocumented",
])

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null

/** Code generators make a type of an enum, but not of an `anyOf` of strings. */
const translateChoices = (choices: Schema[], named: Json): Json => {
  const [first, ...others] = choices
  if (!first || others.length === 0) return first ? translate(first, named) : {}
  const values = choices.map(({ const: only }) => only)
  return values.every((value) => typeof value === "string")
    ? { type: "string", enum: values }
    : { anyOf: choices.map((choice) => translate(choice, named)) }
}

const without = (names: string[], properties: Record<string, Schema>) =>
  Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name)))

/** Puts a schema that has an `$id` into `named`, and returns a reference to it. */
export const translate = (schema: Schema, named: Json): Json => {
  const inner = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inner)
    return isSchema(value) ? translate(value, named) : value
  }
  const { $id, anyOf = [], examples, const: only, encodes, undocumented, properties } = schema
  if (encodes) return translate(encodes, named)
  // The pattern of a number, a boolean or an enum in a query is for its text, so it is left out.
  const isText = schema["type"] === "string" && !("enum" in schema)
  const kept = Object.entries(schema).filter(
    ([name]) => !TRANSLATED.has(name) && (isText || name !== "pattern"),
  )
  const choices = anyOf.filter(({ type }) => type !== "null")
  const translated: Json = {
    ...Object.fromEntries(kept.map(([name, value]) => [name, inner(value)])),
    ...(undocumented && properties && { properties: inner(without(undocumented, properties)) }),
    ...translateChoices(choices, named),
    ...(anyOf.some(({ type }) => type === "null") && { nullable: true }),
    ...(only !== undefined && { enum: [only] }),
    ...(examples && { example: examples[0] }),
  }
  if ($id === undefined) return translated
  named[$id] = translated
  return referTo("schemas", $id)
}
