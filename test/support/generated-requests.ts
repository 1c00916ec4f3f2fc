/** Requests made up from the document: as it wants them, and with all that can be wrong. */
import fc from "fast-check"
import type { Operation, Schema } from "./document.ts"

export type GeneratedRequest = {
  path: string
  headers: Record<string, string>
  body: string | Uint8Array | undefined
}

const LONGEST = 1_100
/** A request line and headers of over 16 KiB are refused before there is a request. */
const QUERY_TEXT = 200

/** Where the code points, the lengths and the escapes are that a server may get wrong. */
const oddText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.constantFrom(
    "",
    " ",
    "\u0000",
    "\ud800",
    "é",
    "👩‍👩‍👧‍👦",
    "' or 1=1 --",
    "%",
    "_",
    "\\",
    "null",
  ),
  fc.nat(LONGEST).map((length) => "x".repeat(length)),
  fc.constantFrom(253, 254, 255, 998, 999, 1_000).map((length) => "😀".repeat(length)),
)

const oddValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  oddText,
  fc.constantFrom<unknown>(0, -1, 1.5, 2 ** 53, 1e308, true, null, [], {}),
)

/** What the schema allows, or nearly: a pattern's strings are those that its example resembles. */
const allowed = (schema: Schema): fc.Arbitrary<unknown> => {
  const { type, minimum = 0, maximum = 2 ** 31, minLength = 0, maxLength = 40 } = schema
  if (schema.nullable) return fc.option(allowed({ ...schema, nullable: false }))
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (type === "boolean") return fc.boolean()
  if (type === "integer") return fc.integer({ min: minimum, max: Math.min(maximum, 2 ** 31) })
  if (type === "object") return objectOf(schema)
  if (type !== "string") return oddValue
  if (schema.pattern?.includes("@")) return fc.emailAddress({ size: "small" })
  return fc.oneof(
    fc.string({ unit: "grapheme", minLength, maxLength: Math.min(maxLength, minLength + 40) }),
    fc.constantFrom(minLength, maxLength).map((length) => "😀".repeat(length)),
    fc.constant(schema.example ?? "x"),
  )
}

/** What only the caller's own values can make right. `{name}` stands for the caller's. */
const own: Record<string, string> = {
  email: "{email}",
  password: "{password}",
  current_password: "{password}",
  refresh_token: "{refreshToken}",
}

const memberOf = ([name, schema]: [string, Schema]): [string, fc.Arbitrary<unknown>] => [
  name,
  own[name] ? fc.oneof(allowed(schema), fc.constant(own[name])) : allowed(schema),
]

const objectOf = ({ properties = {}, required = [] }: Schema) =>
  fc.record(Object.fromEntries(Object.entries(properties).map(memberOf)), {
    requiredKeys: required,
  })

/** A body with one thing wrong with it. */
const mutated = (schema: Schema) => {
  const names = Object.keys(schema.properties ?? {})
  const name = fc.oneof(
    fc.constantFrom(...names),
    fc.constantFrom("owner_id", "__proto__", "constructor", "toString", ""),
    fc.string(),
  )
  const changed = fc
    .tuple(objectOf(schema), name, oddValue)
    .map(([body, key, value]) =>
      JSON.stringify(Object.fromEntries([...Object.entries(body), [key, value]])),
    )
  const without = fc
    .tuple(objectOf(schema), fc.constantFrom(...names))
    .map(([body, key]) => JSON.stringify({ ...body, [key]: undefined }))
  const cut = fc
    .tuple(objectOf(schema), fc.nat(100))
    .map(([body, length]) => JSON.stringify(body).slice(0, length))
  return fc.oneof(
    { weight: 4, arbitrary: changed },
    without,
    cut,
    oddValue.map((value) => JSON.stringify(value)),
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom("[".repeat(30_000), '{"title":"a","title":"b"}', `"${"x".repeat(70_000)}"`),
  )
}

const bodyOf = ({ requestBody }: Operation): fc.Arbitrary<string | Uint8Array | undefined> => {
  const schema = requestBody?.content["application/json"]?.schema
  if (!schema) return fc.constant(undefined)
  const right = objectOf(schema).map((body) => JSON.stringify(body))
  return fc.oneof({ weight: 3, arbitrary: right }, { weight: 3, arbitrary: mutated(schema) })
}

const mostly = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: odd })

/** What a header can carry through `fetch`. */
const headerText = fc.stringMatching(/^[!-~]{1,40}$/)

type Pair = [name: string, value: string]

const queryOf = ({ parameters }: Operation) => {
  const pairs = parameters
    .filter((parameter) => parameter.in === "query")
    .map(({ name, schema }) =>
      fc.tuple(fc.constant(name), mostly(allowed(schema), oddText).map(String)),
    )
  const unknown = fc.tuple(mostly(fc.constantFrom("page", "owner_id"), oddText), oddText)
  const encode = (chosen: Pair[]) =>
    chosen
      .map((pair) =>
        pair.map((text) => encodeURIComponent(text.toWellFormed().slice(0, QUERY_TEXT))).join("="),
      )
      .join("&")
  const right: fc.Arbitrary<Pair[]> = fc.subarray(pairs).chain((some) => fc.tuple(...some))
  const wrong = fc.oneof(
    fc.array(fc.oneof(...pairs, unknown), { minLength: 1, maxLength: 3 }).map(encode),
    fc.constantFrom("%ff", "a=%", "=", "&&", "limit=1&limit=2", "__proto__=1"),
  )
  return mostly(right.map(encode), wrong)
}

const oddIds = [
  "0",
  "-1",
  "1e3",
  "0x1",
  "+1",
  "1.0",
  "٣",
  "99999999999999999999",
  "9007199254740993",
]

const authorizations = mostly(
  fc.constant("Bearer {token}"),
  fc.oneof(
    fc.constantFrom("Bearer", "bearer {token}", "Basic {token}", "Bearer {token}x"),
    headerText,
  ),
)

const ids = mostly(
  fc.constant("{id}"),
  fc
    .oneof(fc.constantFrom(...oddIds), oddText)
    .map((text) => encodeURIComponent(text.toWellFormed().slice(0, 100) || "x")),
)

/** `{token}`, `{id}` and the like in them stand for the caller's own. */
export const requestsOf = (operation: Operation): fc.Arbitrary<GeneratedRequest> => {
  const types = Object.keys(operation.requestBody?.content ?? {})
  const headers = operation.parameters.filter((parameter) => parameter.in === "header")
  return fc
    .record({
      id: ids,
      query: queryOf(operation),
      authorization: authorizations,
      type: mostly(
        fc.constantFrom("application/json", ...types),
        fc.constantFrom("text/plain", "application/json; charset=latin1", "x"),
      ),
      more: fc.record(
        Object.fromEntries(
          headers.map(({ name }) => [name, mostly(fc.constantFrom('"1"', "*"), headerText)]),
        ),
        { requiredKeys: [] },
      ),
      body: bodyOf(operation),
    })
    .map(({ id, query, authorization, type, more, body }) => ({
      path: operation.path.replace("{id}", id) + (query && `?${query}`),
      headers: { ...more, authorization, "content-type": type },
      body,
    }))
}
