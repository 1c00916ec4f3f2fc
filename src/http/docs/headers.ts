/** The headers in the OpenAPI document, and how a route declares which of them it has. */

import type { ApiHeader, ExposedHeader } from "../cors.ts"
import type { ErrorCode } from "../problem.ts"
import { REQUEST_ID_PATTERN } from "../request-log.ts"

/** A part of the document, as plain JSON. */
export type Json = { [name: string]: unknown }

const string = { type: "string" }
/** Such a header is always sent where it is documented. */
const required = true

/** They have no examples, which the reference would send with every request that is tried. */
export const requestHeaders = {
  "If-None-Match": {
    description:
      'Entity tags that the client knows, such as `"1"`, or `*`. A 304 where one is that of the todo or the list.',
    schema: string,
  },
  "If-Match": {
    description:
      'Entity tags, such as `"1"`, or `*`. A 412 and no change where none is the todo\'s.',
    schema: string,
  },
  "Idempotency-Key": {
    description:
      "Makes retries safe: for 30 days, the same key with the same body returns the first response and creates nothing.",
    schema: { ...string, minLength: 1, maxLength: 255, pattern: "^[!-~]+$" },
  },
  Prefer: {
    description: "`wait=N`: to wait for a change, at most N seconds, 60 at most (RFC 7240)",
    schema: string,
  },
} satisfies Record<ApiHeader, Json>

export const responseHeaders = {
  "X-Request-Id": {
    required,
    description: "Names the request: the caller's own id, or a new UUIDv7",
    schema: { ...string, pattern: REQUEST_ID_PATTERN },
  },
  "X-Content-Type-Options": {
    required,
    description: "Content types are not to be guessed",
    schema: { ...string, enum: ["nosniff"] },
  },
  "Cache-Control": {
    required,
    description: "`no-store` on tokens and users, `private, no-cache` on todos",
    schema: { ...string, enum: ["no-store", "private, no-cache"] },
  },
  ETag: {
    required,
    description:
      "The strong entity tag of the todo's version, for If-Match and If-None-Match; of a list the weak one of its state, for If-None-Match",
    schema: string,
    example: '"1"',
  },
  Location: {
    required,
    description: "Where the new todo is",
    schema: { ...string, format: "uri-reference" },
    example: "/api/v1/todos/1",
  },
  "Idempotent-Replayed": {
    description: "The first response to this Idempotency-Key, again",
    schema: { ...string, enum: ["true"] },
  },
  "Preference-Applied": {
    description: "The preference that was granted: `wait=N` (RFC 7240)",
    schema: string,
    example: "wait=30",
  },
  Link: {
    description: 'The next page, where there is one: `</api/v1/todos?…>; rel="next"` (RFC 8288)',
    schema: string,
  },
  "X-Total-Count": {
    description: "How many todos match, on all pages. Sent with `count=true`.",
    schema: { type: "integer", minimum: 0 },
  },
  "Retry-After": {
    required,
    description: "Seconds after which to try again",
    schema: { type: "integer", minimum: 0 },
  },
  "WWW-Authenticate": {
    required,
    description: 'RFC 6750: `Bearer`, with `error="invalid_token"` where a token was sent',
    schema: string,
    example: "Bearer",
  },
  RateLimit: {
    description:
      "Where requests are limited: how many are left (`r`), and in how many seconds there are more (`t`)",
    schema: string,
    example: '"default";r=599;t=60',
  },
  "RateLimit-Policy": {
    description: "Where requests are limited: how many a user has (`q`) in so many seconds (`w`)",
    schema: string,
    example: '"default";q=600;w=60',
  },
  Accept: { required, description: "The content types that the route takes", schema: string },
} satisfies Record<string, Json> & Record<ExposedHeader, Json>

export type ResponseHeader = keyof typeof responseHeaders

declare module "elysia/types" {
  /** What a route declares in `detail` beside its schemas. The rest follows from the route. */
  interface DocumentDecoration {
    requestHeaders?: ApiHeader[]
    responseHeaders?: ResponseHeader[]
    errors?: ErrorCode[]
  }
}

const EVERYWHERE: ResponseHeader[] = ["X-Request-Id", "X-Content-Type-Options"]

export const referTo = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` })

/** The headers of a response: those that every response has, and these. */
export const headersOf = (names: ResponseHeader[]): Json =>
  Object.fromEntries([...EVERYWHERE, ...names].map((name) => [name, referTo("headers", name)]))
