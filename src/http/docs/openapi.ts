/** Makes the OpenAPI document of what @elysiajs/swagger reads from the routes. */
import { STATUS_CODES } from "node:http"
import { swagger } from "@elysiajs/swagger"
import { Elysia, type InternalRoute } from "elysia"
import { version } from "../../../package.json"
import type { ErrorCode } from "../problem.ts"
import {
  type Declared,
  headersOf,
  type Json,
  RATE_LIMIT,
  type ResponseHeader,
  referTo,
  requestHeaders,
  responseHeaders,
} from "./headers.ts"
import { exampleOf, type Schema, translate } from "./json-schema.ts"
import { brokenRule, introduction, refusal, refusalName, statusOf } from "./problems.ts"

/** The groups of the operations in the order in which a newcomer needs them, and the paths of each. */
const groups: [name: string, description: string, paths: RegExp][] = [
  ["Authentication", "Registering, logging in and out, forgotten passwords", /^\/api\/v1\/auth\//],
  ["Todos", "The caller's own todos: nobody else can see them", /\/todos(\/\{id\})?$/],
  ["Sync", "For clients that keep a replica of the todos", /\/todos\/(changes|events|batch)$/],
  ["Trash", "Deleted todos, which can be restored", /\/todos\/(deleted|\{id\}\/restore)/],
  [
    "Account",
    "The caller's account and all of its data",
    /\/users\/me(\/(password|email|export))?$/,
  ],
  ["Sessions", "Where the caller is logged in", /\/users\/me\/sessions/],
  ["Access tokens", "Personal access tokens, for scripts", /\/users\/me\/tokens/],
  ["Operations", "For load balancers and orchestrators", /^\/health\//],
]
const groupOf = (path: string) => groups.findIndex(([, , paths]) => paths.test(path))

const documentation = {
  info: {
    title: "Todo API",
    version,
    description: introduction,
    contact: { name: "The operator of this service" },
  },
  servers: [{ url: ".", description: "This server" }],
  components: {
    securitySchemes: {
      bearerAuth: {
        type: "http" as const,
        scheme: "bearer",
        bearerFormat: "JWT",
        description:
          "The `access_token` of a login, or a personal access token, which is valid for /todos alone",
      },
    },
  },
}

type Content = { [type: string]: { schema: Schema } }
type RawResponse = { $id?: string; description?: string; content?: Content }
type Operation = Json &
  Declared & {
    security?: Json[]
    parameters?: Schema[]
    requestBody?: { content: Content }
    responses: { [status: string]: RawResponse }
  }
type RawDocument = Json & {
  paths: { [path: string]: { [method: string]: Operation } }
  components: Json
}
type Named = { schemas: Json; responses: Json }

/** The plugin guesses several content types, with the same schema. The first one is right. */
const schemaOf = (content: Content | undefined) => content?.["application/json"]?.schema

const response = (
  status: string,
  raw: RawResponse,
  headers: ResponseHeader[],
  named: Named,
): Json => {
  const { content, ...said } = raw
  const schema = schemaOf(content)
  // The plugin moves keywords of an object schema to its response, and drops additionalProperties.
  const whole: Schema | undefined = said.$id ? { ...schema, ...said } : schema
  return {
    description: said.description ?? STATUS_CODES[status],
    headers: headersOf(headers),
    ...(whole && {
      content: {
        [whole.contentType ?? "application/json"]: {
          schema: translate(whole, named.schemas, true),
          example: exampleOf(whole),
        },
      },
    }),
  }
}

/** The error codes of a route, by status: those that it declares, and those of its kind. */
const refusals = (path: string, { security, requestBody, errors = [] }: Operation) => {
  const codes = new Set<ErrorCode>(errors)
  // Large bodies are read in turns, and users may have so many requests a minute.
  if (path.startsWith("/api/"))
    codes.add("BAD_REQUEST").add("TOO_MANY_REQUESTS").add("SERVICE_UNAVAILABLE")
  if (path.includes("{")) codes.add(path.includes("/todos/") ? "TODO_NOT_FOUND" : "NOT_FOUND")
  if (requestBody) codes.add("PAYLOAD_TOO_LARGE").add("UNSUPPORTED_MEDIA_TYPE")
  if (security) codes.add("UNAUTHORIZED").add("INSUFFICIENT_SCOPE")
  return Map.groupBy(codes, (code) => statusOf(code, security !== undefined))
}

const operation = (path: string, raw: Operation, named: Named): Json => {
  const { parameters = [], requestBody, responses, security = [], ...rest } = raw
  const { requestHeaders: sent = [], responseHeaders: received = [], errors: _, ...said } = rest
  const headers: ResponseHeader[] = [...(security.length > 0 ? RATE_LIMIT : []), ...received]
  const body = schemaOf(requestBody?.content)
  const documented: Json = {}
  for (const [status, given] of Object.entries(responses))
    documented[status] = response(status, given, headers, named)
  for (const [status, codes] of refusals(path, raw)) {
    const name = refusalName(codes)
    named.responses[name] = refusal(status, codes, named.schemas)
    documented[status] = referTo("responses", name)
  }
  return {
    ...said,
    security,
    parameters: [
      ...parameters.map(({ schema, ...given }) => translate({ ...given, schema }, named.schemas)),
      ...[...new Set(sent)].map((name) => referTo("parameters", name)),
    ],
    ...(body && {
      requestBody: {
        required: true,
        content: { "application/json": { schema: translate(body, named.schemas) } },
      },
    }),
    responses: documented,
  }
}

const mapValues = <In, Out>(object: { [key: string]: In }, map: (value: In, key: string) => Out) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]))

/** The document, indented so that people can read it, too. */
const write = ({ paths, components, ...rest }: RawDocument): string => {
  const named: Named = { schemas: { BrokenRule: brokenRule }, responses: {} }
  const inOrder = Object.entries(paths).sort(([a], [b]) => groupOf(a) - groupOf(b))
  const document = {
    ...rest,
    tags: groups.map(([name, description]) => ({ name, description })),
    paths: mapValues(Object.fromEntries(inOrder), (operations, path) =>
      mapValues(operations, (raw) => ({
        ...operation(path, raw, named),
        tags: [groups[groupOf(path)]?.[0]],
      })),
    ),
    components: {
      ...components,
      ...named,
      parameters: mapValues(requestHeaders, (header, name) => ({ name, in: "header", ...header })),
      headers: responseHeaders,
    },
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

export const describe = async (routes: InternalRoute[]): Promise<string> => {
  const plugin = swagger({ path: "/docs", documentation })
  // It describes the instance that it is part of. The app is serving, and takes no more plugins.
  const described = new Elysia().use(plugin)
  for (const { method, path, handler, hooks } of routes)
    described.route(method, path, handler, hooks)
  const raw = await plugin.handle(new Request("http://localhost/docs/json"))
  return write((await raw.json()) as RawDocument)
}
