/** What the OpenAPI document says of errors: each code in words, and the document it comes in. */
import { STATUS_CODES } from "node:http"
import { type ErrorCode, statuses } from "../../errors.ts"
import { headersOf, type Json, type ResponseHeader, referTo } from "./headers.ts"

const string = { type: "string" }

const refusalHeaders: { [status: number]: ResponseHeader[] } = {
  401: ["WWW-Authenticate"],
  405: ["Allow"],
  415: ["Accept"],
  429: ["Retry-After"],
  503: ["Retry-After"],
}

const meanings: Record<ErrorCode, string> = {
  BAD_REQUEST: "The body or the query breaks rules; `errors` names each",
  UNAUTHORIZED: "No token, or one that is invalid, expired or revoked",
  INVALID_CREDENTIALS: "The email or the password is wrong",
  NOT_FOUND: "There is nothing at this path",
  TODO_NOT_FOUND: "The caller has no such todo",
  METHOD_NOT_ALLOWED: "The path lacks the method; `Allow` names those it has",
  EMAIL_TAKEN: "The email is registered already",
  PRECONDITION_FAILED: "The todo has changed since the version that If-Match names",
  PAYLOAD_TOO_LARGE: "The body has more than 64 KiB",
  UNSUPPORTED_MEDIA_TYPE: "The body is not in a content type, charset or encoding that is taken",
  IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used with another body",
  TOO_MANY_REQUESTS: "Too many attempts; try again after `Retry-After`",
  INTERNAL_ERROR: "Something went wrong on the server's side",
  SERVICE_UNAVAILABLE: "The database is away, or the service is shutting down",
}

const listOfErrors = Object.entries(meanings)
  .map(([code, meaning]) => `- \`${code}\` (${statuses[code as ErrorCode]}): ${meaning}`)
  .join("\n")

/** What is true of all routes: the first page of the reference. */
export const introduction = `
Todos of many users, each of whom sees only their own. Register, log in, send the \`access_token\` as
\`Authorization: Bearer …\`, and keep todos.

## Conventions
Bodies are JSON in UTF-8, at most 64 KiB. Timestamps are RFC 3339 in UTC. A length is counted in
Unicode code points. Nothing is coerced: \`"true"\` is no boolean, \`123\` is no title. Unknown members
of a body and unknown or repeated parameters of a query are refused. HEAD works wherever GET does,
OPTIONS answers 204 with \`Allow\`.

## Errors
Every error is a problem document (RFC 9457) of the type \`application/problem+json\`: \`detail\` is for
people, \`error_code\` for programs.

${listOfErrors}
`.trim()

/** The answer with this status where each of these codes is possible. */
export const refusal = (status: number, codes: ErrorCode[]): Json => ({
  description: codes.map((code) => meanings[code]).join("; or: "),
  headers: headersOf(refusalHeaders[status] ?? []),
  content: {
    "application/problem+json": {
      schema: {
        allOf: [
          referTo("schemas", "Problem"),
          {
            type: "object",
            properties: {
              title: { ...string, enum: [STATUS_CODES[status]] },
              status: { type: "integer", enum: [status] },
              error_code: { ...string, enum: codes },
            },
          },
        ],
      },
    },
  },
})

const brokenRule = {
  type: "object",
  description: "One broken rule",
  required: ["message"],
  properties: {
    pointer: { ...string, description: "Where in the body: RFC 6901", example: "/title" },
    parameter: { ...string, description: "Or which parameter of the query" },
    message: { ...string, description: "For people", example: "must not be empty" },
  },
}

/** RFC 9457, with two members of our own. */
export const problem = {
  type: "object",
  description: "What every error is: a problem document (RFC 9457)",
  required: ["type", "title", "status", "detail", "error_code", "timestamp"],
  properties: {
    type: { ...string, enum: ["about:blank"] },
    title: { ...string, description: "The status in words" },
    status: { type: "integer", minimum: 400, maximum: 599 },
    detail: { ...string, description: "What is wrong, for people" },
    error_code: {
      ...string,
      description: "What is wrong, for programs",
      enum: Object.keys(statuses),
    },
    timestamp: { ...string, format: "date-time" },
    errors: { type: "array", description: "Of a 400: every broken rule", items: brokenRule },
  },
}
