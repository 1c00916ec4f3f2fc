/** The errors in the OpenAPI document: what each code means, and the problem document it is in. */
import { type ErrorCode, statuses } from "../problem.ts"
import { headersOf, type Json, type ResponseHeader, referTo } from "./headers.ts"

const string = { type: "string" }

const refusalHeaders: { [status: number]: ResponseHeader[] } = {
  401: ["WWW-Authenticate"],
  405: ["Allow"],
  415: ["Accept"],
  429: ["Retry-After", "RateLimit", "RateLimit-Policy"],
  503: ["Retry-After"],
}

const meanings: Record<ErrorCode, string> = {
  BAD_REQUEST: "The body or the query breaks rules; `errors` names each",
  UNAUTHORIZED: "No token, or one that is invalid, expired or revoked",
  INVALID_CREDENTIALS: "The email, the password or the token of a reset is wrong",
  INSUFFICIENT_SCOPE:
    "A personal access token may not do this; `WWW-Authenticate` names the scope that may, if any",
  REGISTRATION_CLOSED: "Registration is closed, or the invite is missing, wrong, used or expired",
  QUOTA_EXCEEDED: "The caller has as many as anybody may have",
  NOT_FOUND: "There is nothing at this path, or nothing of the caller's",
  TODO_NOT_FOUND: "The caller has no such todo",
  METHOD_NOT_ALLOWED: "The path lacks the method; `Allow` names those it has",
  EMAIL_TAKEN: "The email is registered already",
  CHANGES_EXPIRED: "Changes since then are not remembered; begin without `since`",
  BATCH_ROLLED_BACK:
    "An operation of an atomic batch was refused, so all were undone; see `results`",
  PRECONDITION_FAILED: "The todo has changed since the version that If-Match names",
  PAYLOAD_TOO_LARGE: "The body has more than 64 KiB, or more than 1 MiB where it is a batch",
  UNSUPPORTED_MEDIA_TYPE: "The body is not in a content type, charset or encoding that is taken",
  IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used with another body",
  TOO_MANY_REQUESTS: "Too many requests or attempts; try again after `Retry-After`",
  INTERNAL_ERROR: "Something went wrong on the server's side",
  SERVICE_UNAVAILABLE: "The database is away, or the service is shutting down",
}

/** A signed-in caller is authenticated already, so a wrong password is a 403, not a 401. */
export const statusOf = (code: ErrorCode, isSignedIn: boolean): number =>
  isSignedIn && code === "INVALID_CREDENTIALS" ? 403 : statuses[code]

const listOfErrors = Object.entries(meanings)
  .map(([code, meaning]) => {
    const possible = new Set([false, true].map((signedIn) => statusOf(code as ErrorCode, signedIn)))
    return `- \`${code}\` (${[...possible].join(", signed in ")}): ${meaning}`
  })
  .join("\n")

/** The first page of the reference: what applies to all routes. */
export const introduction = `
Todos of many users, each of whom sees only their own. Register, log in, send the \`access_token\` as
\`Authorization: Bearer …\`, and keep todos. A script sends a personal access token instead, which lives
longer and does less: \`POST /api/v1/users/me/tokens\`.

## Conventions
Bodies are JSON in UTF-8, at most 64 KiB (a batch 1 MiB). Timestamps are RFC 3339 in UTC. A length is counted in
Unicode code points. Nothing is coerced: \`"true"\` is no boolean, \`123\` is no title. Unknown members
of a body and unknown or repeated parameters of a query are refused. HEAD works wherever GET does,
OPTIONS answers 204 with \`Allow\`.

## Errors
Every error is a problem document (RFC 9457) of the type \`application/problem+json\`: \`detail\` is for
people, \`error_code\` for programs.

${listOfErrors}
`.trim()

/** `pointer` is a JSON Pointer (RFC 6901). */
export const brokenRule = {
  type: "object",
  description: "One broken rule of a body or of a query",
  required: ["message"],
  properties: {
    pointer: { ...string, description: "Where in the body: RFC 6901", example: "/title" },
    parameter: { ...string, description: "Or which parameter of the query" },
    message: { ...string, description: "For people", example: "must not be empty" },
  },
}

/** The members of RFC 9457, and two extension members: `error_code` and `timestamp`. */
const members = {
  type: { ...string, description: "Says no more than the status", example: "about:blank" },
  title: { ...string, description: "The status in words" },
  status: { type: "integer", minimum: 400, maximum: 599 },
  detail: { ...string, description: "What is wrong, for people" },
  error_code: { ...string, description: "What is wrong, for programs" },
  timestamp: { ...string, format: "date-time" },
}

const errors = {
  type: "array",
  description: "The broken rules, 20 at most",
  items: referTo("schemas", "BrokenRule"),
}

const results = {
  type: "array",
  description: "What became of each operation",
  items: referTo("schemas", "BatchResult"),
}

/** `TODO_NOT_FOUND` becomes `TodoNotFound`. */
const pascalCase = (code: string) =>
  code.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

/**
 * Puts the problem document of these codes into `named`, and returns a reference to it. Each has a
 * schema of its own, with a name: code generators make a good type of that, but not of `allOf`.
 */
const problemOf = (codes: ErrorCode[], named: Json): Json => {
  const name = `${codes.map(pascalCase).join("Or")}Problem`
  named[name] = {
    type: "object",
    description: codes.map((code) => meanings[code]).join("; or: "),
    required: Object.keys(members),
    properties: {
      ...members,
      error_code: { ...members.error_code, enum: codes },
      ...(codes.includes("BAD_REQUEST") && { errors }),
      ...(codes.includes("BATCH_ROLLED_BACK") && { results }),
    },
  }
  return referTo("schemas", name)
}

/** Only sent with INSUFFICIENT_SCOPE: other codes of the same status come without it. */
const scopeChallenge = {
  "WWW-Authenticate": {
    description:
      'RFC 6750: `Bearer error="insufficient_scope"`, with the `scope` that would do, if any',
    schema: string,
  },
}

/** The answer with this status, which has one of these codes. */
export const refusal = (status: number, codes: ErrorCode[], named: Json): Json => ({
  description: codes.map((code) => meanings[code]).join("; or: "),
  headers: {
    ...headersOf(refusalHeaders[status] ?? []),
    ...(codes.includes("INSUFFICIENT_SCOPE") && scopeChallenge),
  },
  content: {
    "application/problem+json": {
      schema: problemOf(codes, named),
    },
  },
})
