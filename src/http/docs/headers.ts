/** The headers in the OpenAPI document, and how a route declares which of them it has. */

import type { ApiHeader, ExposedHeader } from "../cors.ts"
import type { ErrorCode } from "../problem.ts"
import { REQUEST_ID_PATTERN } from "../request-log.ts"

/** A part of the document, as plain JSON. */
export type Json = { [name: string]: unknown }

const string = { type: "string" }
const oneOf = (...values: string[]) => ({ ...string, enum: values })
const count = { type: "integer", minimum: 0 }

const sometimes = (description: string, schema: Json = string, example?: string) => ({
  description,
  schema,
  ...(example !== undefined && { example }),
})
/** Such a header is always sent where it is documented. */
const always = (...said: Parameters<typeof sometimes>) => ({
  required: true,
  ...sometimes(...said),
})

/** They have no examples, which the reference would send with every request that is tried. */
export const requestHeaders = {
  "If-None-Match": sometimes(
    'Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list.',
  ),
  "If-Match": sometimes(
    'Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo\'s.',
  ),
  "Idempotency-Key": sometimes(
    "Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing.",
    { ...string, minLength: 1, maxLength: 255, pattern: "^[!-~]+$" },
  ),
  Prefer: sometimes("`wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240)"),
} satisfies Record<ApiHeader, Json>

export const responseHeaders = {
  "X-Request-Id": always("Names the request: the caller's own id, or a new UUIDv7", {
    ...string,
    pattern: REQUEST_ID_PATTERN,
  }),
  "X-Content-Type-Options": always("Content types are not to be guessed", oneOf("nosniff")),
  "Cache-Control": always(
    "`private, no-cache` on todos, `no-store` on all else",
    oneOf("no-store", "private, no-cache"),
  ),
  ETag: always(
    "The strong entity tag of the todo's version, for If-Match and If-None-Match; of a list the weak one of its state, for If-None-Match",
    string,
    '"1"',
  ),
  Location: always(
    "Where the new todo is",
    { ...string, format: "uri-reference" },
    "/api/v1/todos/1",
  ),
  "Idempotent-Replayed": sometimes(
    "The first response to this Idempotency-Key, again",
    oneOf("true"),
  ),
  "Preference-Applied": sometimes(
    "The preference that was granted: `wait=N` (RFC 7240)",
    string,
    "wait=30",
  ),
  Link: sometimes('The next page, where there is one: `</api/v1/todos?…>; rel="next"` (RFC 8288)'),
  "X-Total-Count": sometimes("How many todos match, on all pages. Sent with `count=true`.", count),
  "Retry-After": always("Seconds after which to try again", count),
  "WWW-Authenticate": always(
    'RFC 6750: `Bearer`, with `error="invalid_token"` where a token was sent',
    string,
    "Bearer",
  ),
  RateLimit: sometimes(
    "Where requests are limited: how many are left (`r`), and in how many seconds there are more (`t`)",
    string,
    '"default";r=599;t=60',
  ),
  "RateLimit-Policy": sometimes(
    "Where requests are limited: how many a user has (`q`) in so many seconds (`w`)",
    string,
    '"default";q=600;w=60',
  ),
  Accept: always("The content types that the route takes"),
  "Content-Disposition": always("What browsers are to save it as"),
} satisfies Record<string, Json> & Record<ExposedHeader, Json>

export type ResponseHeader = keyof typeof responseHeaders

/** What a route declares in `detail` beside its schemas. The rest follows from the route. */
export type Declared = {
  requestHeaders?: ApiHeader[]
  responseHeaders?: ResponseHeader[]
  errors?: ErrorCode[]
}
declare module "elysia/types" {
  interface DocumentDecoration extends Declared {}
}

const EVERYWHERE: ResponseHeader[] = ["X-Request-Id", "X-Content-Type-Options", "Cache-Control"]

/** Of what is answered to a caller who is known: a stranger has no requests of their own. */
export const RATE_LIMIT: ResponseHeader[] = ["RateLimit", "RateLimit-Policy"]

export const referTo = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` })

/** The headers of a response: those that every response has, and these. */
export const headersOf = (names: ResponseHeader[]): Json =>
  Object.fromEntries([...EVERYWHERE, ...names].map((name) => [name, referTo("headers", name)]))
