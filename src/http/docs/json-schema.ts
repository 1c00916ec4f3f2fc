/** Translates a TypeBox schema into the dialect of JSON Schema that OpenAPI 3.0 uses. */
import { type Json, referTo } from "./headers.ts"

export type Schema = Json & {
  $id?: string
  const?: unknown
  anyOf?: Schema[]
  examples?: unknown[]
  type?: string
  items?: Schema
  enum?: unknown[]
  format?: string
  minimum?: number
  /** The schema to document, where the route parses the value itself. */
  encodes?: Schema
  properties?: Record<string, Schema>
  /** Properties that are accepted, but that nobody needs to know of. */
  undocumented?: string[]
  /** The content type of a response that is not JSON. */
  contentType?: string
}

/** Keywords that OpenAPI 3.0 expresses in another way, or that only TypeBox and `Text` know. */
const TRANSLATED = new Set([
  "$id",
  "anyOf",
  "const",
  "examples",
  "patternMessage",
  "trimmed",
  "contentType",
  "undocumented",
  "noValidate",
])

/** `todos:read` becomes `TodosRead`: a name for generated clients, where a value is none. */
const nameOf = (value: string) =>
  value.replaceAll(/(?:^|\W+)(\w)/g, (_, letter: string) => letter.toUpperCase())

const enumOf = (values: string[]): Json => ({
  type: "string",
  enum: values,
  ...(values.some((value) => /\W/.test(value)) && { "x-enum-varnames": values.map(nameOf) }),
})

/** The literal member that tells the variants apart, and its value in each. */
const discriminatorOf = (variants: Schema[]) => {
  const literals = variants.flatMap(({ $id, properties = {} }) =>
    Object.entries(properties).flatMap(([name, { const: only }]) =>
      only === undefined ? [] : [{ name, only, $ref: `#/components/schemas/${$id}` }],
    ),
  )
  const mapping = Object.fromEntries(literals.map(({ only, $ref }) => [only, $ref]))
  return { propertyName: literals[0]?.name, mapping }
}

/** Code generators make a type of an enum, but not of an `anyOf` of strings. */
const translateChoices = ([first, ...others]: Schema[], inner: (schema: Schema) => Json): Json => {
  if (!first) return {}
  if (others.length === 0)
    return first.$id === undefined ? inner(first) : { type: first.type, allOf: [inner(first)] }
  const choices = [first, ...others]
  const values = choices.map(({ const: only }) => only)
  return values.every((value) => typeof value === "string")
    ? enumOf(values)
    : { oneOf: choices.map(inner), discriminator: discriminatorOf(choices) }
}

/**
 * Puts a schema that has an `$id` into `named`, and returns a reference to it. Those of responses are open:
 * a new member must not break clients that check what they get.
 */
export const translate = (schema: Schema, named: Json, isResponse = false): Json => {
  const inner = (value: Schema) => translate(value, named, isResponse)
  const deep = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(deep)
    return typeof value === "object" && value !== null ? inner(value as Schema) : value
  }
  const { $id, anyOf = [], examples, const: only, encodes, undocumented = [], properties } = schema
  if (encodes) return inner(encodes)
  // The pattern of a number, a boolean or an enum in a query is for its text, so it is left out.
  const isText = schema.type === "string" && !("enum" in schema)
  const isKept = (name: string) =>
    !TRANSLATED.has(name) &&
    (isText || name !== "pattern") &&
    !(isResponse && name === "additionalProperties")
  const kept = Object.entries(schema).filter(([name]) => isKept(name))
  const shown = Object.entries(properties ?? {}).filter(([name]) => !undocumented.includes(name))
  const choices = anyOf.filter(({ type }) => type !== "null")
  const translated: Json = {
    ...Object.fromEntries(kept.map(([name, value]) => [name, deep(value)])),
    ...(properties && { properties: deep(Object.fromEntries(shown)) }),
    ...translateChoices(choices, inner),
    ...(anyOf.some(({ type }) => type === "null") && { nullable: true }),
    ...(only !== undefined && { enum: [only] }),
    ...(examples && { example: examples[0] }),
  }
  if ($id === undefined) return translated
  named[$id] = translated
  return referTo("schemas", $id)
}

const OF_FORMATS: Json = {
  "date-time": "2026-11-22T16:40:03.214Z",
  uuid: "0192d5c4-5c52-7d1e-9b3f-8a1f6f1f2b11",
}

/** What the schema describes looks like: by its own example, or by those of its parts. */
export const exampleOf = (schema: Schema): unknown => {
  const { examples, const: only, enum: values, anyOf, type, items, properties, format } = schema
  if (examples) return examples[0]
  if (only !== undefined) return only
  if (values) return values[0]
  if (anyOf?.[0]) return exampleOf(anyOf[0])
  if (items) return [exampleOf(items)]
  if (properties)
    return Object.fromEntries(
      Object.entries(properties).map(([name, member]) => [name, exampleOf(member)]),
    )
  if (type === "integer") return schema.minimum ?? 1
  if (type === "boolean") return true
  return (format && OF_FORMATS[format]) ?? "…"
}
