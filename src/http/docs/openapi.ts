/** Makes the OpenAPI document that is served from what @elysiajs/swagger reads from the routes. */
import { STATUS_CODES } from "node:http"
import type { ErrorCode } from "../problem.ts"
import {
  headersOf,
  type Json,
  type RequestHeader,
  type ResponseHeader,
  referTo,
  requestHeaders,
  responseHeaders,
} from "./headers.ts"
import { type Schema, translate } from "./json-schema.ts"
import { brokenRule, refusal, statusOf } from "./problems.ts"

type Content = { [type: string]: { schema: Schema } }
type Answer = { $id?: string; description?: string; content?: Content }
type Parameter = Json & { examples?: unknown[]; schema: Schema }
type Operation = Json & {
  security?: Json[]
  parameters?: Parameter[]
  requestBody?: { content: Content }
  responses: { [status: string]: Answer }
  requestHeaders?: RequestHeader[]
  responseHeaders?: ResponseHeader[]
  errors?: ErrorCode[]
}
export type RawDocument = Json & {
  paths: { [path: string]: { [method: string]: Operation } }
  components: Json
}
type Named = { schemas: Json; responses: Json }

/** The plugin guesses several content types, with the same schema. The first one is right. */
const schemaOf = (content: Content | undefined) => content?.["application/json"]?.schema

const parameter = ({ examples, schema, ...rest }: Parameter, named: Named): Json => ({
  ...rest,
  schema: translate(schema, named.schemas),
  ...(examples && { example: examples[0] }),
})

const answer = (status: string, raw: Answer, headers: ResponseHeader[], named: Named): Json => {
  const { content, ...said } = raw
  const schema = schemaOf(content)
  // The plugin moves keywords of an object schema to its answer, and drops additionalProperties.
  const whole = said.$id ? { ...schema, ...said, additionalProperties: false } : schema
  return {
    description: said.description ?? STATUS_CODES[status],
    headers: headersOf(headers),
    ...(whole && {
      content: {
        [whole.contentType ?? "application/json"]: { schema: translate(whole, named.schemas) },
      },
    }),
  }
}

const isApi = (path: string) => path.startsWith("/api/")

/** The error codes of a route, by status: those that it declares, and those of its kind. */
const refusals = (path: string, { security, requestBody, errors = [] }: Operation) => {
  const codes = new Set<ErrorCode>([...errors, "METHOD_NOT_ALLOWED", "INTERNAL_ERROR"])
  if (isApi(path)) codes.add("BAD_REQUEST").add("SERVICE_UNAVAILABLE")
  if (path.includes("{")) codes.add(path.includes("/todos/{") ? "TODO_NOT_FOUND" : "NOT_FOUND")
  if (requestBody) codes.add("PAYLOAD_TOO_LARGE").add("UNSUPPORTED_MEDIA_TYPE")
  if (security) codes.add("UNAUTHORIZED").add("INSUFFICIENT_SCOPE").add("TOO_MANY_REQUESTS")
  return Map.groupBy(codes, (code) => statusOf(code, security !== undefined))
}

const operation = (path: string, raw: Operation, named: Named): Json => {
  const { parameters = [], requestBody, responses, security = [], ...rest } = raw
  const { requestHeaders: sent = [], responseHeaders: received = [], errors: _, ...said } = rest
  const headers: ResponseHeader[] = [
    ...(isApi(path) ? (["Cache-Control"] as const) : []),
    ...(security.length > 0 ? (["RateLimit", "RateLimit-Policy"] as const) : []),
    ...received,
  ]
  const body = schemaOf(requestBody?.content)
  const answers: Json = {}
  for (const [status, given] of Object.entries(responses))
    answers[status] = answer(status, given, headers, named)
  for (const [status, codes] of refusals(path, raw)) {
    const name = `${codes.join("_or_")}_${status}`
    named.responses[name] = refusal(status, codes, named.schemas)
    answers[status] = referTo("responses", name)
  }
  return {
    ...said,
    security,
    parameters: [
      ...parameters.map((given) => parameter(given, named)),
      ...[...new Set(sent)].map((name) => referTo("parameters", name)),
    ],
    ...(body && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: translate(body, named.schemas) } },
      },
    }),
    responses: answers,
  }
}

const mapValues = <In, Out>(object: { [key: string]: In }, map: (value: In, key: string) => Out) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]))

/** Routes that need no token come first, because one gets a token there. Else the order is kept. */
const publicFirst = (paths: RawDocument["paths"]): RawDocument["paths"] => {
  const needsToken = (path: string) =>
    Object.values(paths[path] ?? {}).every(({ security }) => security)
  return Object.fromEntries(
    Object.entries(paths).sort(([a], [b]) => Number(needsToken(a)) - Number(needsToken(b))),
  )
}

/** The document, indented so that people can read it, too. */
export const openapi = ({ paths, components, ...rest }: RawDocument): string => {
  const named: Named = { schemas: { BrokenRule: brokenRule }, responses: {} }
  const document = {
    ...rest,
    paths: mapValues(publicFirst(paths), (operations, path) => ({
      parameters: [referTo("parameters", "X-Request-Id")],
      ...mapValues(operations, (raw) => operation(path, raw, named)),
    })),
    components: {
      ...components,
      ...named,
      parameters: mapValues(requestHeaders, (header, name) => ({ name, in: "header", ...header })),
      headers: responseHeaders,
    },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
